"""Sends transactions from an event loop without ever holding it up, each of them once.

Short-term orders carry no sequence and go out at once, side by side. Those that the chain keeps in its state carry the
account's next sequence, so they go out one after the other. A refusal for a wrong sequence has left nothing behind:
then the transaction is signed again with the one that the chain expects.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from helios_pipeline.adapters.dydx.validator import WRONG_SEQUENCE, Answer, Validator, read_answer
from helios_pipeline.core.errors import UnreachableError

_EXPECTED = re.compile(r"expected (\d+), got \d+")
_ATTEMPTS = 3


class TransactionSender:
    """Sends for one account; used in one event loop."""

    def __init__(self, validator: Validator, loop: asyncio.AbstractEventLoop) -> None:
        self._validator, self._loop = validator, loop
        self._sequence: int | None = None
        self._one_by_one = asyncio.Lock()

    async def connect(self) -> None:
        """Learn the account's number and next sequence, which also opens the connection.

        Raises:
            UnreachableError: the validator does not answer.
        """
        account = await asyncio.to_thread(self._validator.account)
        self._sequence = account.sequence

    def start(self, message: object) -> asyncio.Future[Answer | None]:
        """Send a short-term order or cancel now; its answer later, None if there is none and nobody knows."""
        return self._sent(self._validator.sign(message, sequence=self._sequence or 0))

    async def send(self, message: object, last_block: int, started: Callable[[], None]) -> Answer | None:
        """Send what the chain keeps in its state; the answer, None if there is none and nobody knows.

        Args:
            message: what is to be done.
            last_block: last block that may include it.
            started: called once, when it is on its way.
        """
        async with self._one_by_one:
            for attempt in range(_ATTEMPTS):
                sequence = await self._next_sequence()
                if sequence is None:
                    break
                sending = self._sent(self._validator.sign(message, sequence=sequence, last_block=last_block))
                if attempt == 0:
                    started()
                answer = await sending
                self._sequence = following_sequence(sequence, answer)
                if answer is None or answer.code != WRONG_SEQUENCE:
                    return answer
            return Answer(code=WRONG_SEQUENCE, log="the account's sequence could not be learned; nothing was sent")

    async def _next_sequence(self) -> int | None:
        if self._sequence is None:
            with suppress(UnreachableError):
                await self.connect()
        return self._sequence

    def _sent(self, transaction: bytes) -> asyncio.Future[Answer | None]:
        answered: asyncio.Future[Answer | None] = self._loop.create_future()

        def tell(call: Any) -> None:  # noqa: ANN401 - grpc's future
            answer = read_answer(call)
            # The loop may be over by now.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_resolve, answered, answer)

        self._validator.start(transaction).add_done_callback(tell)
        return answered


def following_sequence(sequence: int, answer: Answer | None) -> int | None:
    """The sequence after an answer; None where it must be asked for."""
    if answer is None:
        return None
    if answer.code == WRONG_SEQUENCE:
        expected = _EXPECTED.search(answer.log)
        return int(expected.group(1)) if expected else None
    return sequence + 1 if answer.code == 0 else sequence


def _resolve(future: asyncio.Future[Answer | None], answer: Answer | None) -> None:
    if not future.done():
        future.set_result(answer)
