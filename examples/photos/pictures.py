"""What Pillow does for the darkroom: read a picture, shrink it, tell its colours."""

from io import BytesIO
from math import dist
from pathlib import Path
from typing import cast

from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

MAX_BYTES = 20 * 1024 * 1024  # of one file
LONGEST = 1280  # pixels that are kept of the longer side of a large JPEG: enough to shrink from
Image.MAX_IMAGE_PIXELS = 40_000_000  # Pillow refuses twice as many

Colour = tuple[int, ...]


class BrokenPicture(Exception):
    """A file that will not become a picture, however often one tries."""


def read_picture(path: Path) -> Image.Image:
    """Read a file as an upright RGB picture, with white where it is transparent.

    Raises:
        OSError: The disk failed: worth another attempt.
        BrokenPicture: The file is to blame.
    """
    content = path.read_bytes()
    if len(content) > MAX_BYTES:
        raise BrokenPicture(f"This file is larger than {MAX_BYTES // 1024**2} MB.")
    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as file:
            file.draft("RGB", (LONGEST, LONGEST))
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    except UnidentifiedImageError:
        raise BrokenPicture("This is not a JPEG, PNG or WebP picture.") from None
    except Image.DecompressionBombError:
        raise BrokenPicture("This picture has too many pixels.") from None
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, ValueError
        raise BrokenPicture("This picture is damaged or cut off.") from error
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(picture, mask=picture)
    return paper


def save_thumbnail(picture: Image.Image, path: Path, size: int) -> None:
    """Write a picture of at most `size` pixels a side; whoever looks sees all of it or nothing."""
    thumbnail = picture.copy()
    thumbnail.thumbnail((size, size))
    unfinished = path.with_suffix(".tmp")
    thumbnail.save(unfinished, "JPEG", quality=85)
    unfinished.replace(path)


def find_palette(picture: Image.Image, length: int = 5) -> list[str]:
    """The colours that tell most about a picture, as `#rrggbb`, from dark to light.

    The commonest comes first, then the one that adds most: common, and unlike those before it.
    """
    small = picture.copy()
    small.thumbnail((160, 160))
    reduced = small.quantize(32, kmeans=1).convert("RGB")
    counted = cast(list[tuple[int, Colour]], reduced.getcolors())
    palette = [max(counted)[1]]
    for _ in counted[1:length]:
        news = {c: n**0.5 * min(dist(c, known) for known in palette) for n, c in counted}
        palette.append(max(news, key=news.__getitem__))
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in sorted(palette, key=brightness)]


def is_light(colour: str) -> bool:
    """Whether dark letters are easier to read on a colour than light ones."""
    return brightness(ImageColor.getrgb(colour)) > 140


def brightness(colour: Colour) -> float:
    """How light a colour looks, from 0 to 255 (luma of ITU-R BT.601)."""
    red, green, blue = colour[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue
