"""Makes report.webp: the report page of `make demo` in headless Chromium, as a short animation.

    make demo && python docs/images/report.py out/demo/report.html docs/images/report.webp

Needs Chromium and its driver (Debian: chromium, chromium-driver), selenium and Pillow. Everything that moves is done
through the page's own controls.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

HIDDEN = ("bounce", "hide", "jump", "merge", "split", "zigzag")  # classes that are switched off, so that the page fits
WIDTH, HEIGHT, SCALE = 1000, 1040, 0.9
SCORES = [0.2, 0.2, 0.14, 0.1, 0.06, 0.1, 0.14, 0.2, 0.2]
SLIDE = """const s = document.getElementById('score'); s.value = arguments[0];
s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true}));"""
HIDE = """for (const box of document.querySelectorAll('input[type=checkbox]'))
  if (arguments[0].includes(box.closest('label').textContent.trim()) && box.checked) box.click();"""


def main(page: Path, out: Path) -> None:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    pictures: list[Image.Image] = []
    seconds: list[float] = []

    def shoot(duration: float, wait: float = 0.25) -> None:
        time.sleep(wait)
        picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
        pictures.append(picture.resize((round(picture.width * SCALE), round(picture.height * SCALE)), Image.LANCZOS))
        seconds.append(duration)

    try:
        browser.set_window_size(WIDTH, HEIGHT)
        browser.get(page.resolve().as_uri())
        time.sleep(1)
        browser.execute_script(HIDE, HIDDEN)
        for score in SCORES:
            browser.execute_script(SLIDE, score)
            shoot(0.5)
        seconds[-1] = 3.0
        for _ in range(2):
            browser.find_element("id", "b-in").click()
            shoot(0.6, wait=0.6)
        browser.find_element("id", "b-right").click()
        shoot(3.0, wait=0.6)
    finally:
        browser.quit()
    first, *rest = pictures
    first.save(
        out,
        save_all=True,
        append_images=rest,
        duration=[round(1000 * s) for s in seconds],
        loop=0,
        quality=70,
        method=6,
        minimize_size=True,
    )
    print(f"{out}: {len(pictures)} pictures of {first.width}x{first.height}, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
