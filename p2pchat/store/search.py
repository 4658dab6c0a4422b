"""Full-text search over messages, kept out of the message's own commit.

Indexing inside the commit costs a p99 of 25 ms (measured), so the index follows later, in
batches, and ``find`` reads the few messages behind it one by one. Both use the same tokenizer,
so nobody can tell which part answered. Hits are ordered by position, never ranked: ranking needs
every hit, and the screen needs fifty.

The index holds no text, only words by position (FTS5, contentless). Deleting leaves a tombstone
at once; ``purge_step`` then rewrites the index until the words themselves are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import apsw

from p2pchat.errors import UsageError
from p2pchat.store.changes import HIDDEN
from p2pchat.store.history import ALWAYS_MS
from p2pchat.store.rows import MESSAGE_QUERY, Row

SEARCH_WORDS_MAX: Final = 32
"""A person types a few words; the expression's depth is bounded by it."""
INDEX_BATCH_MESSAGES: Final = 128
"""Messages a batch: a write that arrives in the middle waits about two milliseconds."""
INDEX_BATCH_CHARS: Final = 1 << 17
"""A batch of long messages ends earlier, at two of the longest."""
PURGE_STEP_PAGES: Final = 64
"""Pages rewritten by one step of a purge."""

_IN_SPAN: Final = (
    "AND (SELECT sent_at_ms >= ?4 AND sent_at_ms < ?5 FROM message"
    " WHERE position = message_index.rowid)"
)
"""Asked of each hit in turn until there are enough; without dates nothing is asked."""

Phrase = tuple[str, ...]


class SearchIndex:
    """The index as one connection sees it; call inside a transaction."""

    __slots__ = ("_connection", "_tokenizer")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._tokenizer = connection.fts5_tokenizer("unicode61", ["remove_diacritics", "2"])

    def find(
        self,
        words: str,
        before: int,
        limit: int,
        *,
        contact_id: int | None = None,
        span_ms: tuple[int, int] = ALWAYS_MS,
    ) -> list[Row]:
        """Return the newest ``limit`` rows that contain all ``words``, newest first.

        Args:
            words: As a person typed them; no character has a special meaning.
            before: Only positions below this.
            limit: At most so many.
            contact_id: The conversation; all of them if not given.
            span_ms: Only messages that state a time from the first on and before the second.

        Raises:
            UsageError: More than ``SEARCH_WORDS_MAX`` words.
        """
        phrases = self._phrases(words)
        if not phrases:
            return []
        indexed_to = self._indexed_to()
        found: list[Row] = []
        tail = self._connection.execute(
            f"{MESSAGE_QUERY} WHERE (?1 IS NULL OR contact_id = ?1) AND position > ?2"
            " AND position < ?3 AND sent_at_ms >= ?4 AND sent_at_ms < ?5"
            f" AND kind NOT IN {HIDDEN} ORDER BY position DESC",
            (contact_id, indexed_to, before, *span_ms),
        )
        with closing(tail):  # a statement left in the middle would hold its snapshot
            for row in tail:
                if _contains(self._tokens(row[3]), phrases):
                    found.append(row)
                    if len(found) == limit:
                        return found
        terms = [f'body:"{" ".join(phrase)}"' for phrase in phrases]
        if contact_id is not None:
            terms.insert(0, f'contact:"{contact_id}"')
        values: list[object] = [" AND ".join(terms), before, limit - len(found)]
        in_span = ""
        if span_ms != ALWAYS_MS:
            in_span = _IN_SPAN
            values += span_ms
        found += self._connection.execute(
            f"{MESSAGE_QUERY} WHERE position IN (SELECT rowid FROM message_index"  # noqa: S608  # constants
            f" WHERE message_index MATCH ?1 AND rowid < ?2 {in_span}"
            " ORDER BY rowid DESC LIMIT ?3) ORDER BY position DESC",
            values,
        )
        return found

    def backlog(self) -> int:
        """Return how many messages at most are not indexed yet."""
        ((backlog,),) = self._connection.execute(
            "SELECT coalesce((SELECT max(position) FROM message), 0) - indexed_to FROM search_state"
        )
        return max(0, int(backlog))

    def index_batch(self) -> int:
        """Index the oldest messages that are not yet; return how many."""
        indexed_to = self._indexed_to()
        batch: list[tuple[int, str, str]] = []
        count = chars = 0
        rows = self._connection.execute(
            f"SELECT position, contact_id, body, kind IN {HIDDEN} FROM message WHERE position > ?"  # noqa: S608  # a constant
            " ORDER BY position LIMIT ?",
            (indexed_to, INDEX_BATCH_MESSAGES),
        )
        with closing(rows):
            for position, contact_id, body, hidden in rows:
                count, indexed_to = count + 1, position
                if not hidden:
                    batch.append((position, str(contact_id), body))
                    chars += len(body)
                if chars >= INDEX_BATCH_CHARS:
                    break
        if not count:
            return 0
        self._connection.executemany(
            "INSERT INTO message_index (rowid, contact, body) VALUES (?, ?, ?)", batch
        )
        self._connection.execute("UPDATE search_state SET indexed_to = ?", (indexed_to,))
        return count

    def forget(self, positions: Sequence[int]) -> None:
        """Take deleted messages out of the index and ask for a purge of their words."""
        indexed_to = self._indexed_to()
        indexed = [(position,) for position in positions if position <= indexed_to]
        if indexed:
            self._connection.executemany("DELETE FROM message_index WHERE rowid = ?", indexed)
            self._connection.execute("UPDATE search_state SET purge = 1")

    def replace(self, position: int, contact_id: int, body: str) -> None:
        """Put a message's new text in the place of its old one, and ask for a purge of that."""
        if position <= self._indexed_to():
            self.forget([position])
            self._connection.execute(
                "INSERT INTO message_index (rowid, contact, body) VALUES (?, ?, ?)",
                (position, str(contact_id), body),
            )

    def purge_step(self) -> bool:
        """Rewrite a part of the index without deleted words; return False if nothing is left."""
        ((purge,),) = self._connection.execute("SELECT purge FROM search_state")
        if not purge:
            return False
        # A negative count first joins all segments into one merge, which positive ones continue.
        pages = -PURGE_STEP_PAGES if purge == 1 else PURGE_STEP_PAGES
        before = self._connection.total_changes()
        self._connection.execute(
            "INSERT INTO message_index (message_index, rank) VALUES ('merge', ?)", (pages,)
        )
        # FTS5 documents fewer than two changes as the sign that a merge had nothing to do.
        done = purge > 1 and self._connection.total_changes() - before < 2
        self._connection.execute("UPDATE search_state SET purge = ?", (0 if done else 2,))
        return not done

    def _indexed_to(self) -> int:
        ((indexed_to,),) = self._connection.execute("SELECT indexed_to FROM search_state")
        return int(indexed_to)

    def _tokens(self, text: str) -> list[str]:
        return [
            str(token)  # with neither offsets nor colocated tokens, each item is a plain string
            for token in self._tokenizer(
                text.encode("utf-8", "replace"),
                apsw.FTS5_TOKENIZE_DOCUMENT,
                None,
                include_offsets=False,
                include_colocated=False,
            )
        ]

    def _phrases(self, words: str) -> list[Phrase]:
        """Split at white space; a word of several tokens (``foo-bar``) is a phrase of them."""
        phrases = list(
            dict.fromkeys(tuple(tokens) for word in words.split() if (tokens := self._tokens(word)))
        )
        if len(phrases) > SEARCH_WORDS_MAX:
            raise UsageError(f"search for at most {SEARCH_WORDS_MAX} words")
        return phrases


def _contains(tokens: Sequence[str], phrases: Sequence[Phrase]) -> bool:
    present = set(tokens)
    return all(
        present.issuperset(phrase) and (len(phrase) == 1 or phrase in _runs(tokens, len(phrase)))
        for phrase in phrases
    )


def _runs(tokens: Sequence[str], length: int) -> Iterator[Phrase]:
    for start in range(len(tokens) - length + 1):
        yield tuple(tokens[start : start + length])
