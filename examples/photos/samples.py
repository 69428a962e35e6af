"""Four pictures to try the darkroom with, drawn by Pillow, the same ones on every machine."""

from collections.abc import Callable
from math import cos, pi, sin
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageOps

Colour = str | tuple[int, int, int]
WIDE, TALL = (2400, 1800), (1800, 2400)  # drawn at twice the size that is saved: smooth edges


def draw_samples(folder: Path) -> None:
    """Draw the samples that are not in the folder yet."""
    for name, draw in SAMPLES.items():
        path, unfinished = folder / f"{name}.jpg", folder / f"{name}.tmp"
        if not path.exists():
            draw(Random(name)).reduce(2).save(unfinished, "JPEG", quality=90)
            unfinished.replace(path)


def sunset(random: Random) -> Image.Image:
    """The sun sinks into a calm sea."""
    width, height = WIDE
    horizon, middle = height * 3 // 5, width // 2
    picture = sky(WIDE, "#1d1b4c", "#4b2a78", "#a53f86", "#ee6c6a", "#ffb45e", "#ffd98a", "#ffd98a")
    picture = shine(picture, (middle, horizon - 80), 1250, "#ff9d5c")
    ImageDraw.Draw(picture).circle((middle, horizon - 110), 200, fill="#fff3cf")
    for _ in range(26):
        y = random.triangular(120, horizon - 320, horizon - 400)
        cloud(picture, random, (random.uniform(0, width), y), "#ffb18c" if y > 500 else "#b45c9c")
    water = sky((width, height - horizon), "#f7a06a", "#b5527f", "#4b2a78", "#17153f")
    picture.paste(water, (0, horizon))
    pen = ImageDraw.Draw(picture)
    for _ in range(420):
        depth = random.random() ** 1.6
        y = horizon + 6 + depth * (height - horizon)
        reach = 60 + 420 * depth
        x, half = random.gauss(middle, reach * 0.55), random.uniform(0.1, 0.5) * reach
        tint = mix("#fff0c4", "#f0717a", min(1, depth + abs(x - middle) / 900))
        pen.rounded_rectangle((x - half, y, x + half, y + 3 + 9 * depth), radius=6, fill=tint)
    return picture


def hills(random: Random) -> Image.Image:
    """A clear morning: ridge behind ridge, each one hazier than the one in front."""
    width, _ = WIDE
    picture = sky(WIDE, "#7fb8d6", "#b5d8de", "#f3ead2", "#ffdcae", "#ffdcae", "#ffdcae")
    picture = shine(picture, (1750, 620), 900, "#ffe2a6")
    ImageDraw.Draw(picture).circle((1750, 620), 105, fill="#fffbe8")
    for layer in range(7):
        near = layer / 6
        tint = mix("#c3d3cf", "#12463f", near**0.9)
        line = ridge(random, width, 760 + 820 * near**1.15, 150 - 40 * near)
        picture = fill_below(picture, line, tint, mix(tint, "#ffe9c9", 0.45 - 0.4 * near))
        forest = line[::3] if layer == 5 else line[::5] if layer == 6 else []
        for x, y in forest:
            if random.random() < 0.62:
                tall = random.uniform(40, 95) * (0.6 + near)
                fir(picture, (x, y + 14), tall, mix(tint, "#0a2a2a", 0.35))
    return picture


def meadow(random: Random) -> Image.Image:
    """Poppies, daisies and cornflowers up to the horizon."""
    width, height = WIDE
    picture = sky(WIDE, "#4a9ed6", "#8cc8ea", "#d8eef2", "#f4f3dc", "#f4f3dc")
    for _ in range(14):
        cloud(picture, random, (random.uniform(0, width), random.uniform(90, 520)), "#ffffff")
    for base, tint in ((740, "#8fb9a4"), (790, "#6fa274")):
        line = ridge(random, width, base, 60)
        picture = fill_below(picture, line, tint, mix(tint, "#dbe8b0", 0.5))
    picture.paste(sky((width, height - 830), "#a9c95e", "#6fa83c", "#3c7c2f", "#1f5528"), (0, 830))
    pen = ImageDraw.Draw(picture)
    tints = ["#e8352e", "#f2503b", "#d81f3c", "#ffffff", "#ffd23f", "#5a6fe0", "#f58ab5"]
    for step in range(2600):
        depth = (step / 2600) ** 1.9
        x, y = random.uniform(-60, width + 60), 836 + depth * (height - 780)
        tint = random.choices(tints, (9, 7, 5, 3, 3, 3, 2))[0]
        flower(pen, random, (x, y), 4 + 58 * depth**1.15, tint)
    return picture


def aurora(random: Random) -> Image.Image:
    """Northern lights above a lake and dark mountains."""
    width, height = TALL
    shore = 1800
    picture = sky((width, shore), "#050a24", "#0a1a40", "#0f3a5a", "#1c6470")
    pen = ImageDraw.Draw(picture)
    for _ in range(520):
        x, y, size = random.uniform(0, width), random.uniform(0, 1500), random.paretovariate(2.4)
        pen.ellipse((x, y, x + min(9, size * 2), y + min(9, size * 2)), fill="#dfe9ff")
    for tint, top, tilt in (("#7b3ff2", 330, 0.3), ("#2fe6a0", 640, 1.4), ("#8dffb0", 860, 2.5)):
        picture = ImageChops.screen(picture, curtain(random, picture.size, tint, top, tilt))
    for base, tint, rough in ((1560, "#173a4f", 170), (1700, "#0a1e30", 130)):
        picture = fill_below(picture, ridge(random, width, base, rough), tint, tint)
    mirror = ImageOps.flip(picture).crop((0, 0, width, height - shore))
    mirror = mirror.filter(ImageFilter.BoxBlur((14, 5)))
    whole = Image.new("RGB", TALL, "#050a24")
    whole.paste(picture)
    whole.paste(Image.blend(mirror, Image.new("RGB", mirror.size, "#04101f"), 0.35), (0, shore))
    return whole


SAMPLES: dict[str, Callable[[Random], Image.Image]] = {
    "Sunset": sunset,
    "Hills": hills,
    "Meadow": meadow,
    "Aurora": aurora,
}


def sky(size: tuple[int, int], *colours: Colour) -> Image.Image:
    """A smooth gradient from the first colour, at the top, to the last."""
    strip = Image.new("RGB", (1, len(colours)))
    for row, colour in enumerate(colours):
        strip.paste(colour, (0, row, 1, row + 1))
    return strip.resize(size, Image.Resampling.BICUBIC)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The colour that is `share` (0 to 1) of the way to the other one."""
    first, last = (ImageColor.getrgb(c) if isinstance(c, str) else c for c in (one, other))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
    return red, green, blue


def shine(
    picture: Image.Image, centre: tuple[int, int], radius: int, colour: Colour
) -> Image.Image:
    """Add light around a point, fading out to the radius."""
    x, y = centre
    halo = Image.radial_gradient("L").point(lambda far: 255 * max(0, 1 - far / 180) ** 1.5)
    halo = halo.resize((2 * radius, 2 * radius))
    light = Image.new("RGB", picture.size)
    light.paste(Image.new("RGB", halo.size, colour), (x - radius, y - radius), halo)
    return ImageChops.screen(picture, light)


def cloud(
    picture: Image.Image, random: Random, centre: tuple[float, float], colour: Colour
) -> None:
    """Lay a soft, flat cloud over the picture."""
    width, height = random.randint(240, 640), random.randint(24, 60)
    veil = Image.new("L", (2 * width, 5 * height))
    pen = ImageDraw.Draw(veil)
    for _ in range(16):
        x, y = width + random.gauss(0, width / 4), 3 * height - abs(random.gauss(0, height / 2))
        half = random.uniform(0.08, 0.3) * width
        pen.ellipse((x - half, y - height / 2, x + half, y + height / 2), fill=170)
    veil = veil.filter(ImageFilter.GaussianBlur(height / 4))
    picture.paste(colour, (round(centre[0] - width), round(centre[1])), veil)


def ridge(random: Random, width: int, base: float, rough: float) -> list[tuple[float, float]]:
    """The skyline of a range of hills: a few waves, each half as high and twice as fast."""
    waves = [
        (rough / 2**n, 2**n * random.uniform(0.6, 1.4), random.uniform(0, 2 * pi)) for n in range(6)
    ]
    return [
        (x, base - sum(high * sin(fast * 2 * pi * x / width + at) for high, fast, at in waves))
        for x in range(-20, width + 40, 12)
    ]


def fill_below(
    picture: Image.Image, line: list[tuple[float, float]], top: Colour, bottom: Colour
) -> Image.Image:
    """Paint everything below a skyline, from its colour to that of the haze in the valley."""
    width, height = picture.size
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).polygon([(-20, height), *line, (width + 40, height)], fill=255)
    start = round(min(y for _, y in line))
    land = Image.new("RGB", picture.size, bottom)
    land.paste(sky((width, 620), top, bottom), (0, start))
    return Image.composite(land, picture, mask)


def fir(picture: Image.Image, foot: tuple[float, float], tall: float, colour: Colour) -> None:
    """Plant a fir tree."""
    x, y = foot
    pen = ImageDraw.Draw(picture)
    for step in range(4):
        low, wide = y - tall * step * 0.22, tall * (0.26 - step * 0.05)
        pen.polygon([(x - wide, low), (x, low - tall * 0.42), (x + wide, low)], fill=colour)


def flower(
    pen: ImageDraw.ImageDraw, random: Random, at: tuple[float, float], size: float, colour: Colour
) -> None:
    """Draw a blossom on its stem."""
    x, y = at
    stem = x, y, x + random.uniform(-4, 4), y + size * 2.2
    pen.line(stem, fill="#2f6b2a", width=round(1 + size / 9))
    turn = random.uniform(0, pi)
    for petal in range(5):
        angle = turn + petal * 2 * pi / 5
        centre = x + cos(angle) * size * 0.42, y + sin(angle) * size * 0.3
        pen.circle(centre, size * 0.42, fill=mix(colour, "#5a1030", 0.09 * (petal % 3)))
    pen.circle((x, y), size * 0.2, fill="#3a2230" if colour != "#ffffff" else "#f7c52b")


def curtain(
    random: Random, size: tuple[int, int], colour: Colour, top: float, tilt: float
) -> Image.Image:
    """One waving curtain of light on black."""
    width, _ = size
    light = Image.new("RGB", size)
    pen = ImageDraw.Draw(light)
    for x in range(0, width, 4):
        wave = sin(x / width * 5 + tilt) * 190 + sin(x / width * 11 + tilt * 3) * 60
        strength = 0.35 + 0.3 * sin(x / 37 + tilt) * sin(x / 91) + 0.15 * random.random()
        foot = top + wave + 260
        for step in range(26):
            y, tint = foot - step * 24, mix("#000000", colour, max(0, strength * (1 - step / 26)))
            pen.rectangle((x, y - 24, x + 4, y), fill=tint)
    return light.filter(ImageFilter.BoxBlur((7, 34)))
