"""A service that counts what it was paid for."""

import random
import time
from collections import Counter
from dataclasses import dataclass

from .service import Answer, Service, good, task


@dataclass
class Charge:
    prompt: str
    task_id: str
    came: float
    stall: float


class PaidService(Service):
    """A service with a task of its own for every POST, which renders for `renders` seconds and forgets no charge.

    Each answer takes about `stall` seconds, and that to a submit `thinks` more.
    """

    def __init__(
        self, clip: bytes, *, renders: float = 0.3, stall: float = 0.03, thinks: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(clip)
        self.charges: list[Charge] = []
        self.renders, self.stall, self.thinks = renders, stall, thinks
        self._random = random.Random(seed)
        self._began: dict[str, float] = {}
        self.submit = [self._charge]  # type: ignore[list-item]
        self.query = [self._state]  # type: ignore[list-item]
        self.file = [lambda: Answer(clip, stall=self._pause())]  # type: ignore[list-item]

    @property
    def prompts(self) -> Counter[str]:
        return Counter(charge.prompt for charge in self.charges)

    def rendering(self, moment: float) -> int:
        return sum(began <= moment < began + self.renders for began in self._began.values())

    def link(self, **fields: str) -> Answer:
        file_id = self._asked()["file_id"][0]
        url = f"{self.origin}/output_aigc.mp4?Expires={file_id}&Signature=x%3D"
        file = {"file_id": int(file_id), "bytes": 0, "filename": "output_aigc.mp4", "download_url": url}
        answer = good(file=file | fields)
        answer.stall = self._pause()
        return answer

    def _asked(self) -> dict[str, list[str]]:
        # The service calls what answers a request as soon as it has noted it: it is the last.
        query = self.requests[-1].query
        self.requests.clear()
        return query

    def _pause(self) -> float:
        return self._random.expovariate(1 / self.stall) if self.stall else 0.0

    def _charge(self) -> Answer:
        prompt = self.requests[-1].json["prompt"]
        self.requests.clear()
        charge = Charge(prompt, str(10**15 + len(self.charges)), time.time(), self.thinks + self._pause())
        self.charges.append(charge)
        self._began[charge.task_id] = time.monotonic() + charge.stall
        answer = good(task_id=charge.task_id)
        answer.stall = charge.stall
        return answer

    def _state(self) -> Answer:
        task_id = self._asked()["task_id"][0]
        part = (time.monotonic() - self._began[task_id]) / self.renders
        if part >= 1:
            answer = task("Success", file_id=str(int(task_id) + 10**15))
        else:
            answer = task("Preparing" if part < 0.2 else "Queueing" if part < 0.4 else "Processing")
        answer.stall = self._pause()
        return answer
