"""Bring the catalogues up to date with the code: `python -m tests.catalogues`.

What is new comes without a translation, which is then to be written; what is gone goes.
"""

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from s2v_core.language import FOLDER, LANGUAGES

from .support.sentences import in_code

# Babel's own has a date, which changes at each writing.
HEAD = r"""msgid ""
msgstr ""
"Project-Id-Version: S2V Studio\n"
"Language: {language}\n"
"Plural-Forms: {plurals}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""


def kept(language: str) -> Catalog:
    locale, path = language.replace("-", "_"), FOLDER / f"{language}.po"
    if not path.exists():
        return Catalog(locale=locale)
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def renewed(language: str) -> Catalog:
    """With each sentence of the code, and with what was translated of them."""
    before = kept(language)
    catalogue = Catalog(locale=before.locale)
    for sentence in sorted(in_code(), key=str):
        found = before.get(sentence)
        catalogue.add(sentence, found.string if found else None)
    return catalogue


def write(catalogue: Catalog, path: Path) -> None:
    head = HEAD.format(language=catalogue.locale, plurals=catalogue.plural_forms)
    with path.open("wb") as file:
        file.write(head.encode())
        write_po(file, catalogue, width=120, omit_header=True)


def main() -> None:
    for language in LANGUAGES:
        if language != "en":
            write(catalogue := renewed(language), FOLDER / f"{language}.po")
            open_ones = [each.id for each in catalogue if each.id and not any(each.string or "")]
            print(f"{language}: {len(catalogue)} sentences, {len(open_ones)} to be translated", *open_ones, sep="\n  ")


if __name__ == "__main__":
    main()
