"""A strict reader of Prometheus' text format, written from its documentation and not from our writer."""

import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HEAD = re.compile(rf"# (HELP|TYPE) ({NAME}) (.*)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "counter": ("",)}


@dataclass
class Family:
    kind: str
    says: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)


def read_metrics(text: str) -> dict[str, Family]:
    """Families by name; anything that Prometheus would refuse, or that it would warn of, is an AssertionError."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    says: dict[str, str] = {}
    current = ""
    for line in text.removesuffix("\n").split("\n"):
        if head := HEAD.fullmatch(line):
            word, current, rest = head.groups()
            assert current not in families, f"{current} twice"
            if word == "HELP":
                says[current] = rest
            else:
                assert rest in ENDINGS
                families[current] = Family(kind=rest, says=says[current])
            continue
        matched = SAMPLE.fullmatch(line)
        assert matched, line
        name, labels, value = matched.groups()
        family = families[current]
        assert name in {current + ending for ending in ENDINGS[family.kind]}, line
        key = (name, read_labels(labels or ""))
        assert key not in family.samples, f"{line} twice"
        family.samples[key] = float(value)
    return families


def read_labels(text: str) -> tuple[tuple[str, str], ...]:
    found, at = {}, 0
    while at < len(text):
        label = LABEL.match(text, at)
        assert label, text[at:]
        assert label[1] not in found
        found[label[1]] = label[2].replace(r"\n", "\n").replace(r"\"", '"').replace("\\\\", "\\")
        at = label.end()
    return tuple(sorted(found.items()))
