"""Everything that is made before Sphinx reads its pages."""

import shutil
from pathlib import Path

from generate import commands, links, options, records, tree
from generate.links import ELSEWHERE, FINDINGS, ROOT


def write(folder: Path) -> None:
    """Write tables and pages; a file that would not change stays as it is, so that Sphinx reads what is new only.

    Args:
        folder: below docs, ignored by git.
    """
    tables = {
        "options": options.text,
        "commands": commands.text,
        "exit-codes": commands.exit_codes,
        "records": records.text,
        "tree": tree.text,
    }
    for name, make in tables.items():
        _put(folder / "tables" / f"{name}.md", make())
    sources = [ROOT / name for name in ELSEWHERE if name.endswith(".md") and name != "README.md"]
    for source in {*sources, *FINDINGS.glob("*.md")}:
        shown = links.place(source)
        assert shown is not None
        _put(shown, links.rewrite(source.read_text(encoding="utf-8"), source, shown))
    findings = sorted(file.stem for file in FINDINGS.glob("*.md") if file.name != "README.md")
    index = folder / "findings" / "index.md"
    _put(index, index.read_text(encoding="utf-8") + "\n```{toctree}\n:hidden:\n\n" + "\n".join(findings) + "\n```\n")
    for picture in FINDINGS.glob("*.png"):
        shutil.copyfile(picture, folder / "findings" / picture.name)


def _put(file: Path, text: str) -> None:
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
