"""A clip that is dropped on the page: what it says of itself."""

import base64

from ..clip import marks
from ..errors import PromptRejected
from ..language import gettext, paragraph
from ..text import check_prompt, in_a_line, plain


def dropped(packet: str, *, free: bool) -> tuple[str, str, bool]:
    """The sentences for its XMP, which a browser sends as base64; the scene to fill in, and whether it was improved.

    Only where the field for a scene is `free` there is one to fill in.
    """
    fields, sentence = _read(packet)
    scene = fields.get(marks.SCENE, "")
    try:
        scene = in_a_line(check_prompt(scene)) if scene else ""
    except PromptRejected:
        scene = ""
    if scene and free:
        sentence = paragraph(sentence, gettext("Its scene is filled in."))
        return sentence, scene, fields.get(marks.OPTIMIZER) != "False"
    if scene:
        left = gettext("Your scene was left as it is; the clip's is: “{scene}”", scene=scene)
        return paragraph(sentence, left), "", True
    return paragraph(sentence, gettext("It does not keep its scene.") if fields else ""), "", True


def _read(packet: str) -> tuple[dict[str, str], str]:
    """The fields of it, and the sentence for those."""
    try:
        data = base64.b64decode(packet, validate=True)
        fields = marks.parse(data) if data else {}
    except ValueError:
        return {}, gettext("This clip's description could not be read.")
    except marks.NotXmp as error:
        return {}, gettext("This clip's description was not read: {why}.", why=error.args[0])
    if not fields:
        return {}, gettext("This clip says nothing of itself.")
    names = (plain(fields.get(name, ""), 100) for name in (marks.SYSTEM, marks.TOOL, marks.MADE))
    system, tool, made = names
    if system and tool:
        maker = gettext("This clip says: made by {system} with {tool}.", system=system, tool=tool)
    elif system or tool:
        maker = gettext("This clip says: made by {system}.", system=system or tool)
    else:
        maker = gettext("This clip does not say by whom it was made.")
    return fields, paragraph(maker, gettext("Its date: {date}.", date=made[:10]) if made else "")
