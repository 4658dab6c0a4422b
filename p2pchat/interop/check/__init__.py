"""The checker: plays either role against another implementation and misbehaves on purpose.

``registry`` knows which check judges which requirement, ``report`` collects what came of it,
``wire`` carries bytes, ``dialler`` and ``listener`` are the two roles' honest halves, ``lax`` is a
Noise engine that does what none should; the rest are the checks themselves.
"""
