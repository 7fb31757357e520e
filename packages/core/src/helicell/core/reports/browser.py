"""Pages as a reader sees them: Chromium without a window runs a page's scripts and takes its picture.

Used to make the pictures of the documentation and to test reports. WebGL is drawn by SwiftShader, so neither a
graphics card nor a display is needed.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from helicell.core.errors import HelicellError

__all__ = ["Browser"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # The page's clock runs ahead to here as soon as nothing is left to do, so scripts end before the picture is taken.
    "--virtual-time-budget=20000",
)
TIMEOUT_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Browser:
    """A Chromium program, started afresh for every page.

    Parameters
    ----------
    program
        Path of the program.
    options
        More options of Chromium, such as ``--disable-3d-apis``.
    """

    program: str
    options: Sequence[str] = ()

    @classmethod
    def find(cls) -> Self:
        """Find the Chromium of this machine.

        Raises
        ------
        HelicellError
            If there is none on the path.
        """
        for name in PROGRAMS:
            if program := shutil.which(name):
                return cls(program)
        message = f"no Chromium found (looked for {', '.join(PROGRAMS)}); install the package chromium"
        raise HelicellError(message)

    def document(self, page: str | Path) -> str:
        """Return the document of a page as HTML, after its scripts ran."""
        return self._run(page, "--dump-dom")

    def picture(
        self, page: str | Path, path: str | Path, *, width: int = 1280, height: int = 900, scale: float = 1.0
    ) -> None:
        """Save what a window of this size shows of the top of a page.

        Parameters
        ----------
        page
            The HTML file.
        path
            The PNG file to write.
        width, height
            Size of the window in CSS pixels.
        scale
            Pixels of the picture for each CSS pixel.
        """
        target = Path(path).resolve()
        self._run(
            page, f"--window-size={width},{height}", f"--force-device-scale-factor={scale}", f"--screenshot={target}"
        )
        if not target.is_file():
            message = f"Chromium took no picture of {page}; open the page in a browser to see what is wrong with it"
            raise HelicellError(message)

    def _run(self, page: str | Path, *options: str) -> str:
        """Open a page with a profile that is thrown away, and return what Chromium prints."""
        with tempfile.TemporaryDirectory(prefix="helicell-browser-", ignore_cleanup_errors=True) as profile:
            command = [self.program, *OPTIONS, *self.options, f"--user-data-dir={profile}", *options]
            address = Path(page).resolve().as_uri()
            try:
                ended = subprocess.run(
                    [*command, address], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
                )
            except (subprocess.SubprocessError, OSError) as error:
                message = f"Chromium could not show {page}: {' '.join(str(error).split())[:200]}"
                raise HelicellError(message) from error
        return ended.stdout
