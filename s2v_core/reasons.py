"""Why something did not work, or not yet: each reason with what happened and what to do, as a person reads it.

A reason and its facts go from where they are found into the job's row and onto the page, where they become words; a
sentence is never read back. `{}` in a sentence is a fact.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

from .language import Sentence, gettext

# What JSON keeps, so that a row can; of a `Sentence` what is `kept`.
Fact: TypeAlias = str | int | float | list[object]
Facts: TypeAlias = Mapping[str, Fact]


class Reason(StrEnum):
    """The values stand in rows and in answers to programs: they stay."""

    # The service answered.
    KEY = "key"
    BALANCE = "balance"
    QUOTA = "quota"
    PLAN = "plan"
    BUSY = "busy"
    CAPACITY = "capacity"
    TROUBLE = "trouble"
    INVALID = "invalid"
    INVISIBLE = "invisible_characters"
    SENSITIVE_INPUT = "sensitive_input"
    SENSITIVE_CLIP = "sensitive_clip"
    TURNED_DOWN = "turned_down"
    NO_TASK = "no_task"
    NO_NEWS = "no_news"
    GAVE_UP = "gave_up"
    GAVE_UP_SILENTLY = "gave_up_silently"
    # It did not.
    NOT_REACHED = "not_reached"
    NOT_SENT = "not_sent"
    ANSWER_LOST = "answer_lost"
    NO_ANSWER = "no_answer"
    UNKNOWN_TASK = "unknown_task"
    NO_CLIP_YET = "no_clip_yet"
    NOT_DOWNLOADED = "not_downloaded"
    NOT_WRITTEN = "not_written"
    # The prompt.
    PROMPT_EMPTY = "prompt_empty"
    PROMPT_LONG = "prompt_long"
    OPTIMIZER = "optimizer"
    # The order.
    NO_PHOTO = "no_photo"
    PHOTO_AND_LINK = "photo_and_link"
    NOT_UPLOADED = "not_uploaded"
    UPLOAD_GONE = "upload_gone"
    NO_CONSENT = "no_consent"
    KEY_FORGOTTEN = "key_forgotten"
    NOT_TEXT = "not_text"
    NO_TOOL = "no_tool"
    NO_ARGUMENT = "no_argument"
    # The photo.
    PHOTO_EMPTY = "photo_empty"
    PHOTO_MEGABYTES = "photo_megabytes"
    PHOTO_NOT_OPENED = "photo_not_opened"
    PHOTO_NO_FILE = "photo_no_file"
    PHOTO_TYPE = "photo_type"
    PHOTO_NO_URL = "photo_no_url"
    PHOTO_BASE64 = "photo_base64"
    PHOTO_IS_LINK = "photo_is_link"
    LINK_CHARACTERS = "link_characters"
    LINK_NOT_PUBLIC = "link_not_public"
    PHOTO_NO_PICTURE = "photo_no_picture"
    PHOTO_KIND = "photo_kind"
    PHOTO_DAMAGED = "photo_damaged"
    PHOTO_SIDE = "photo_side"
    PHOTO_RATIO = "photo_ratio"
    PHOTO_LARGE_TO_CROP = "photo_large_to_crop"
    SCENES = "scenes"
    SCENES_CHANGED = "scenes_changed"
    REEL = "reel"
    NO_REEL = "no_reel"
    NO_FACE = "no_face"
    STRICT = "strict"
    PHOTO_PIXELS = "photo_pixels"
    PHOTO_PIXELS_JPEG = "photo_pixels_jpeg"
    PHOTO_PIECES = "photo_pieces"
    PHOTO_RARE_JPEG = "photo_rare_jpeg"
    PHOTO_SCANS = "photo_scans"
    PHOTO_PROGRESSIVE = "photo_progressive"
    # The ledger.
    UNKNOWN_TICKET = "unknown_ticket"
    LEDGER_AWAY = "ledger_away"
    LEDGER_SLOW = "ledger_slow"
    # No more is taken.
    STOPPING = "stopping"
    NO_SERVICE = "no_service"
    NO_ROOM = "no_room"
    QUEUE_FULL = "queue_full"
    YOUR_QUEUE_FULL = "your_queue_full"
    DAY_USED = "day_used"
    YOUR_DAY_USED = "your_day_used"
    # A job waits.
    WAITING_LINE = "waiting_line"
    WAITING_RENDERS = "waiting_renders"
    WAITING_MINUTE = "waiting_minute"
    WAITING_KEY = "waiting_key"
    WAITING_TICKET = "waiting_ticket"
    # It went wrong here, or was called off.
    FAULT = "fault"
    SUBMIT_FAULT = "submit_fault"
    PHOTO_GONE = "photo_gone"
    CLIP_GONE = "clip_gone"
    NO_CLIP = "no_clip"
    NOT_ENDED = "not_ended"
    CANCELLED = "cancelled"
    LEFT = "left"
    STOPPED_BEFORE = "stopped_before"
    STOPPED_AFTER = "stopped_after"

    @property
    def is_wait(self) -> bool:
        """Whether its sentence says by itself what a job waits for."""
        return self.value.startswith("waiting_")


_CHANGE = "Change the prompt or the photo."
_SOME_ENDED = "Wait until some of them have ended, then try again."

_WORDS: Mapping[Reason, tuple[str, str]] = {
    Reason.KEY: (
        "The service does not accept this key.",
        "Check that the key is complete, and that it belongs to this provider and region.",
    ),
    Reason.BALANCE: ("The account's balance is too low.", "Top up the account, then try again."),
    Reason.QUOTA: ("The key has reached its usage limit.", "Raise the limit or wait until it renews."),
    Reason.PLAN: (
        "The plan does not include this model, or its extra usage is off.",
        "Change the plan, or use another key.",
    ),
    Reason.BUSY: ("The service takes no more requests right now.", "Wait a minute and try again."),
    Reason.CAPACITY: ("The service has no capacity for this model right now.", "Try again in a few minutes."),
    Reason.TROUBLE: ("The service had an internal error.", ""),
    Reason.INVALID: ("The service did not accept the request.", "Change the photo or the prompt."),
    Reason.INVISIBLE: ("The prompt has too many invisible characters.", "Type the prompt again."),
    Reason.SENSITIVE_INPUT: ("The service judged the prompt or the photo to be sensitive.", _CHANGE),
    Reason.SENSITIVE_CLIP: ("The service judged the finished video to be sensitive.", _CHANGE),
    Reason.TURNED_DOWN: ("The service refused the request.", "Correct what it objects to, then try again."),
    Reason.NO_TASK: ("The service's answer names no task, so we do not know whether it took the job.", ""),
    Reason.NO_NEWS: ("We could not make sense of the service's answer.", ""),
    Reason.GAVE_UP: ("The service gave up on this clip.", ""),
    Reason.GAVE_UP_SILENTLY: ("The service gave up on this clip and gave no reason.", ""),
    Reason.NOT_REACHED: ("{provider} could not be reached.", "Check the connection and try again."),
    Reason.NOT_SENT: ("The request could not be sent ({kind}).", ""),
    Reason.ANSWER_LOST: ("The connection broke after the request was sent and before {provider} answered.", ""),
    Reason.NO_ANSWER: ("{provider} did not answer ({kind}).", ""),
    Reason.UNKNOWN_TASK: ("{provider} does not know this task.", ""),
    Reason.NO_CLIP_YET: ("There is no clip after {minutes} minutes.", ""),
    Reason.NOT_DOWNLOADED: ("The clip is rendered, but it could not be downloaded: {detail}.", ""),
    Reason.NOT_WRITTEN: ("The clip is rendered, but it cannot be written here ({detail}).", ""),
    Reason.PROMPT_EMPTY: ("The prompt is empty.", "Write what the person does, and where."),
    Reason.PROMPT_LONG: ("The prompt has {count} characters; the service takes {most}.", "Shorten it."),
    Reason.NO_PHOTO: ("There is no portrait yet.", "Drop one, take one, or try a sample."),
    Reason.PHOTO_AND_LINK: ("There are both a portrait and a link.", "Remove one of them."),
    Reason.NOT_UPLOADED: (
        "The photo is not an upload.",
        "Send the file itself, or a public https link as photo_url.",
    ),
    Reason.UPLOAD_GONE: ("The portrait is no longer here.", "Choose it again."),
    Reason.NO_CONSENT: (
        "Please confirm that you may use this face.",
        "Tick the box below the scene; a program sends consent=True.",
    ),
    Reason.KEY_FORGOTTEN: ("Your key is no longer here.", "Enter it again under “Use your key”."),
    Reason.NOT_TEXT: ("{name} must be text.", ""),
    Reason.NO_TOOL: ("There is no such tool here, only {tools}.", ""),
    Reason.NO_ARGUMENT: ("{tool} takes only {names}.", "Leave the rest out; a key goes into the header X-S2V-Key."),
    Reason.PHOTO_EMPTY: ("The photo is empty: it has 0 bytes.", "Choose another."),
    Reason.PHOTO_MEGABYTES: ("The photo has {given} MB; the limit is {most} MB.", "Save it smaller."),
    Reason.PHOTO_NOT_OPENED: (
        "The photo cannot be opened: {detail}.",
        "Check its name, and that it may be read.",
    ),
    Reason.PHOTO_NO_FILE: (
        "The photo cannot be opened: it is neither a file name nor a file opened in binary mode.",
        "Check it, or open it again.",
    ),
    Reason.PHOTO_TYPE: (
        "The photo is given as {type}.",
        "Give its path, its bytes, a data URL or a file; save a PIL image to a `BytesIO` first.",
    ),
    Reason.PHOTO_NO_URL: (
        "The photo is neither a data URL nor a public https link.",
        "Send one of them: data:image/jpeg;base64,…",
    ),
    Reason.PHOTO_BASE64: ("The photo's base64 is damaged.", "Encode its bytes again, without line breaks."),
    Reason.PHOTO_IS_LINK: (
        "The photo is a link, which is never opened here.",
        "Give it to `submit`, or save the photo.",
    ),
    Reason.LINK_CHARACTERS: (
        "The link to the photo has over {most} characters, or one that does not belong in a link.",
        "Give another.",
    ),
    Reason.LINK_NOT_PUBLIC: (
        "The link must be public: it begins with https://, names a public host and has no password.",
        "",
    ),
    Reason.PHOTO_NO_PICTURE: (
        "The file is not a picture; the service takes JPEG, PNG and WebP.",
        "Choose one of these.",
    ),
    Reason.PHOTO_KIND: ("The photo is {kind}; the service takes JPEG, PNG and WebP.", "Save it as one of these."),
    Reason.PHOTO_DAMAGED: (
        "The photo is damaged: it cannot be read to its end.",
        "Save it again, or choose another.",
    ),
    Reason.PHOTO_SIDE: (
        "The photo is {width} × {height} px; its short side must be over {least} px.",
        "Choose a larger one.",
    ),
    Reason.PHOTO_RATIO: (
        "The photo is {width} × {height} px, a ratio of {across}:{down}; it must be between 2:5 and 5:2.",
        "Crop it.",
    ),
    Reason.SCENES: ("There are {given} scenes, one a line; at most {most} clips are made at once.", "Leave some out."),
    Reason.SCENES_CHANGED: (
        "What the button named is not what would have been made. Nothing was sent.",
        "Look at it once more, then click again.",
    ),
    Reason.REEL: ("A reel has 2 to {most} finished clips.", "Choose others."),
    Reason.NO_REEL: ("The reel could not be written.", "Try again later."),
    Reason.NO_FACE: ("No face was found in the photo.", "Use it as it is, or choose another."),
    Reason.STRICT: ("There is a warning about the photo.", "Mend it, or leave out `--strict`."),
    Reason.PHOTO_LARGE_TO_CROP: (
        "The photo is {width} × {height} px, too large to be cropped here.",
        "Crop it first, or save it smaller.",
    ),
    Reason.PHOTO_PIXELS: (
        "The photo is a {kind} of {millions} million pixels; the limit is {most} million.",
        "Save it smaller, or as a JPEG.",
    ),
    Reason.PHOTO_PIXELS_JPEG: (
        "The photo is a {kind} of {millions} million pixels; the limit is {most} million.",
        "Save it smaller.",
    ),
    Reason.PHOTO_PIECES: ("The photo is in more than {most} pieces.", "Save it again as an ordinary JPEG."),
    Reason.PHOTO_RARE_JPEG: ("The photo is a rare kind of JPEG.", "Save it again as an ordinary JPEG."),
    Reason.PHOTO_SCANS: ("The photo is a JPEG in {scans} scans.", "Save it again as an ordinary JPEG."),
    Reason.PHOTO_PROGRESSIVE: (
        "The photo is a progressive JPEG that takes {given} MB to read; the limit is {most} MB.",
        "Save it smaller, or as an ordinary JPEG.",
    ),
    Reason.UNKNOWN_TICKET: (
        "There is no such ticket here.",
        "Check that the ticket is complete, and that this is where it was made.",
    ),
    Reason.LEDGER_AWAY: (
        "The list of clips cannot be reached right now.",
        "Nothing that is in it is lost: try again in a minute.",
    ),
    Reason.LEDGER_SLOW: (
        "The list of clips could not be written within {seconds} seconds, so nothing was sent.",
        "Try again in a minute.",
    ),
    Reason.STOPPING: ("The server is stopping and takes nothing new.", "Try again when it is back."),
    Reason.NO_SERVICE: ("There is no {name} service here: the live one needs a key.", ""),
    Reason.NO_ROOM: (
        "The simulator takes nothing new: under {gigabytes} GB of the disk is free, which is kept for paid clips.",
        "Make room on the disk, then try again.",
    ),
    Reason.QUEUE_FULL: ("{count} jobs are waiting here already.", _SOME_ENDED),
    Reason.YOUR_QUEUE_FULL: ("{count} jobs from your address are waiting already.", _SOME_ENDED),
    Reason.DAY_USED: (
        "Today's {count} clips are used up; the count starts anew at midnight UTC.",
        "Wait until then, or use your own key: with it there is no limit.",
    ),
    Reason.YOUR_DAY_USED: (
        "You have used today's {count} clips; the count starts anew at midnight UTC.",
        "With your own key there is no limit.",
    ),
    Reason.WAITING_LINE: ("Waiting: {count} ahead of it.", ""),
    Reason.WAITING_RENDERS: ("Waiting: {count} clips are rendering with this key already.", ""),
    Reason.WAITING_MINUTE: ("Waiting: {count} clips were sent with this key within a minute.", ""),
    Reason.WAITING_KEY: ("Waiting for the same key: enter it again.", ""),
    Reason.WAITING_TICKET: ("We asked for 24 hours and then stopped. Enter its ticket to make us ask again.", ""),
    Reason.FAULT: ("Something went wrong on this server.", ""),
    Reason.SUBMIT_FAULT: ("Something went wrong on this server while the request was being sent.", ""),
    Reason.PHOTO_GONE: ("The photo is no longer here.", "Choose it again."),
    Reason.CLIP_GONE: ("The clip's file is no longer here.", ""),
    Reason.NO_CLIP: ("There is no clip: the job is {state}.", ""),
    Reason.NOT_ENDED: ("This clip is still being made.", "Delete it once it has ended."),
    Reason.CANCELLED: ("You cancelled it before anything was sent.", ""),
    Reason.LEFT: ("Nobody was waiting for it any more, so nothing was sent.", ""),
    Reason.STOPPED_BEFORE: ("The server stopped before anything was sent.", ""),
    Reason.STOPPED_AFTER: (
        "The server stopped after the request was sent and before the answer was written down.",
        "",
    ),
    Reason.OPTIMIZER: ("prompt_optimizer is true or false: whether the service may rewrite the prompt.", ""),
}


def what_happened(reason: Reason, facts: Facts) -> str:
    """The sentence, and after it what the service itself `said`, or else its `http` status."""
    happened = gettext(_WORDS[reason][0], **{name: _fact(fact) for name, fact in facts.items()})
    if said := facts.get("said"):
        return gettext("{happened} It said: “{said}”.", happened=happened, said=said)
    if "http" in facts:
        return gettext("{happened} It answered HTTP {status}.", happened=happened, status=facts["http"])
    return happened


def _fact(fact: Fact) -> object:
    """Such as why a download failed, which is a sentence by itself."""
    match fact:
        case Sentence():
            return fact.said()
        case str():
            return gettext(fact)
        case [str(sentence), dict(facts)]:
            return gettext(sentence, **facts)
    return fact


def what_to_do(reason: Reason) -> str:
    """Empty where the reason adds nothing to what its kind of error advises."""
    return gettext(_WORDS[reason][1]) if _WORDS[reason][1] else ""
