"""Make the picture of the README: the top of a report, as Chromium shows it.

Run by `make picture`; takes the HTML file of a report and the PNG file to write.
"""

import sys
from pathlib import Path

from PIL import Image

from helicell.core.reports.browser import Browser

WIDTH, HEIGHT = 1240, 1390
# Sharp on screens of high resolution; the palette below makes up for the size of the file.
SCALE = 1.5
COLOURS = 200


def main() -> None:
    """Take the picture and reduce it to a palette, which is enough for a page of few colours."""
    report, picture = map(Path, sys.argv[1:])
    picture.parent.mkdir(parents=True, exist_ok=True)
    Browser.find().picture(report, picture, width=WIDTH, height=HEIGHT, scale=SCALE)
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main()
