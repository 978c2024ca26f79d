"""The small store of the sweeps, with texts that would like to be HTML."""

from pathlib import Path
from typing import Any

from tests.probing.cases import IDS, TRUTH, labels, rows, store_in
from w2sprobe.explorer import ExplorerData, explore

HOSTILE = (
    "<script>document.title = 'broken in'</script><img src=x onerror=\"document.title='in'\">"
    '</script><b>bold</b> & "quoted" <a href="https://example.org">link</a>'
)
TEXTS = {name: f"{name} says {'good' if TRUTH[n] else 'bad'}" for n, name in enumerate(IDS)}
TEXTS["row-3"] = HOSTILE
KS = (1, 4, 10)


def explored(folder: Path, **changes: Any) -> ExplorerData:
    arguments: dict[str, Any] = {
        "labels": labels(),
        "rows": rows(),
        "texts": TEXTS,
        "ks": KS,
        "splits": ["test"],
        **changes,
    }
    return explore(store_in(folder), **arguments)
