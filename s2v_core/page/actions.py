"""The buttons of an ending, which do what it advises: a link is opened, what a selector finds is clicked or focused."""

from collections.abc import Iterable, Mapping, Sequence

from ..language import gettext
from ..reasons import Reason

Action = tuple[str, str]

AGAIN: Action = ("Make it again", "#generate")
_SCENE = "#prompt textarea"
_CHANGE_SCENE: Action = ("Change the scene", _SCENE)
_PORTRAIT: Action = ("Choose another portrait", "#subject :is([data-name='Remove Image'], input[type=file])")
_CHOOSE: Action = ("Choose a portrait", "#subject input[type=file]")
_LINK: Action = ("Change the link", "#link :is(input, textarea)")
OWN_KEY: Action = ("Use your key", "#own-key .label-wrap:not(.open), #key input")
_SIMULATE: Action = ("Simulate it, free", "#service input[value=simulator]")

_OF: Mapping[Reason, Sequence[Action]] = {
    Reason.NO_PHOTO: [_CHOOSE],
    Reason.UPLOAD_GONE: [_PORTRAIT],
    Reason.PHOTO_GONE: [_PORTRAIT],
    Reason.NO_CONSENT: [("Confirm", "#consent input")],
    Reason.PROMPT_EMPTY: [("Write the scene", _SCENE)],
    Reason.PROMPT_LONG: [("Shorten the scene", _SCENE)],
    Reason.INVISIBLE: [_CHANGE_SCENE],
    Reason.PHOTO_RATIO: [("Crop to fit", "#crop")],
    Reason.PHOTO_AND_LINK: [("Remove the portrait", "#subject [data-name='Remove Image']")],
    Reason.LINK_CHARACTERS: [_LINK],
    Reason.LINK_NOT_PUBLIC: [_LINK],
    Reason.INVALID: [_CHANGE_SCENE, _PORTRAIT],
    Reason.TURNED_DOWN: [_CHANGE_SCENE, _PORTRAIT],
    Reason.SENSITIVE_INPUT: [_CHANGE_SCENE, _PORTRAIT],
    Reason.SENSITIVE_CLIP: [_CHANGE_SCENE, _PORTRAIT],
    Reason.GAVE_UP: [_CHANGE_SCENE, AGAIN],
    Reason.GAVE_UP_SILENTLY: [_CHANGE_SCENE, AGAIN],
    Reason.DAY_USED: [OWN_KEY, _SIMULATE],
    Reason.YOUR_DAY_USED: [OWN_KEY, _SIMULATE],
    Reason.QUOTA: [OWN_KEY, _SIMULATE],
    Reason.PLAN: [OWN_KEY, _SIMULATE],
    Reason.BALANCE: [OWN_KEY, _SIMULATE],
    Reason.KEY_FORGOTTEN: [OWN_KEY],
} | {
    reason: [_PORTRAIT]
    for reason in (
        Reason.PHOTO_EMPTY, Reason.PHOTO_MEGABYTES, Reason.PHOTO_NOT_OPENED, Reason.PHOTO_NO_PICTURE, Reason.PHOTO_KIND,
        Reason.PHOTO_DAMAGED, Reason.PHOTO_SIDE, Reason.PHOTO_LARGE_TO_CROP, Reason.PHOTO_PIXELS,
        Reason.PHOTO_PIXELS_JPEG, Reason.PHOTO_PIECES, Reason.PHOTO_RARE_JPEG, Reason.PHOTO_SCANS,
        Reason.PHOTO_PROGRESSIVE,
    )
}  # fmt: skip


def said(actions: Iterable[Action]) -> list[Action]:
    """With what stands on the buttons in the reader's language."""
    return [(gettext(label), target) for label, target in actions]


def actions_for(reason: Reason | None) -> list[Action]:
    """What a person can do about it on the page; empty where it is not up to them."""
    return list(_OF.get(reason, ())) if reason else []
