"""Who stands behind a link: nobody looks at it, so everybody gets the same drawing."""

from io import BytesIO

from PIL import Image, ImageDraw


def stand_in() -> bytes:
    """A head and shoulders as a JPEG: what stands behind a link is never looked at."""
    picture = Image.new("RGB", (2048, 2048), "#d9cfc0")
    draw = ImageDraw.Draw(picture)
    hair, skin, shadow = "#33292a", "#d09a76", "#b97f5e"
    draw.ellipse((274, 150, 1774, 1650), fill="#e8e0d3")
    draw.rounded_rectangle((704, 330, 1344, 1130), 320, fill=hair)
    draw.ellipse((450, 1130, 1598, 2600), fill="#e8562a")
    draw.rounded_rectangle((904, 900, 1144, 1270), 120, fill=shadow)
    draw.ellipse((784, 440, 1264, 1070), fill=skin)
    draw.chord((744, 360, 1304, 860), 188, 340, fill=hair)
    for eye in (914, 1134):
        draw.ellipse((eye - 20, 730, eye + 20, 774), fill=hair)
    draw.arc((934, 800, 1114, 930), 25, 155, fill=hair, width=14)
    out = BytesIO()
    picture.reduce(2).save(out, "JPEG", quality=92)
    return out.getvalue()
