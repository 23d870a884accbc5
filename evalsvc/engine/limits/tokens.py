"""How many tokens a request will cost, learnt per model from the usage that answers report."""

from __future__ import annotations

#: Before anything is learnt: the usual English text, and an answer of this many tokens where no less is asked for.
_CHARS_PER_TOKEN = 4.0
_ANSWER = 256
#: A mean over about the last 20 answers, a plain mean until there are so many.
_NEWEST_WEIGHT = 0.05


class _Usual:
    __slots__ = ("chars", "input", "output", "weight")

    def __init__(self) -> None:
        self.chars = self.input = self.output = 0.0
        self.weight = 1.0


class TokenMeter:
    """Estimates by model."""

    __slots__ = ("_models",)

    def __init__(self) -> None:
        self._models: dict[str, _Usual] = {}

    def learn(self, model: str, chars: int, input_tokens: int, output_tokens: int) -> None:
        """An answer's true usage."""
        usual = self._models.get(model)
        if usual is None:
            usual = self._models[model] = _Usual()
        weight = usual.weight
        usual.chars += weight * (chars - usual.chars)
        usual.input += weight * (input_tokens - usual.input)
        usual.output += weight * (output_tokens - usual.output)
        if weight > _NEWEST_WEIGHT:
            usual.weight = max(_NEWEST_WEIGHT, weight / (1.0 + weight))

    def estimate(self, model: str, chars: int, max_tokens: int | None) -> float:
        """Tokens, input and output, of a request of ``chars`` characters; at least 1."""
        usual = self._models.get(model)
        if usual is None or not usual.chars:
            output: float = _ANSWER if max_tokens is None else min(max_tokens, _ANSWER)
            return max(1.0, chars / _CHARS_PER_TOKEN + output)
        output = usual.output if max_tokens is None else min(usual.output, max_tokens)
        return max(1.0, chars * usual.input / usual.chars + output)
