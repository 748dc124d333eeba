"""Makes label.webp: the page of `punctum label` in headless Chromium, with rendered videos.

    python docs/images/label.py docs/images/label.webp

Needs Chromium and its driver (Debian: chromium, chromium-driver), selenium, Pillow, and punctum with the extra `label`.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

WIDTH, HEIGHT, SCALE = 1280, 860, 0.78
CLASSES = ("wave", "jump", "fall", "hide")


def main(out: Path) -> None:
    folder = Path(tempfile.mkdtemp()) / "my-videos"
    make = ["punctum", "data", "make-videos", "--count", "5", "--seed", "5", "--size", "480x360", "--seconds", "30"]
    subprocess.run([*make, "--out", str(folder)], check=True)
    for name in ("dataset.json", "gt.json", "train.txt", "test.txt"):
        (folder / name).unlink()
    head, *lines = (folder / "points.csv").read_text().splitlines()
    rows = [line for line in lines if line.split(",")[0] in CLASSES]
    (folder / "points.csv").write_text("\n".join([head, *rows]) + "\n")
    video = max((line.split(",")[1] for line in rows), key=lambda name: sum(f",{name}," in line for line in rows))
    command = ["punctum", "label", str(folder), "--no-browser", "--annotator", "ann", "--classes", ",".join(CLASSES)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        line = server.stdout.readline() if server.stdout else ""
        (address,) = re.findall(r"http\S+", line)
        browser.set_window_size(WIDTH, HEIGHT)
        browser.get(address)
        time.sleep(2)
        find = "[...document.querySelectorAll('#videos button')].find((b) => b.textContent.startsWith(arguments[0]))"
        browser.execute_script(f"{find}.click()", video)
        time.sleep(6)
        browser.execute_script("document.querySelectorAll('#clicks button')[2].click()")
        time.sleep(1.5)
        picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
        picture = picture.resize((round(picture.width * SCALE), round(picture.height * SCALE)), Image.LANCZOS)
        picture.save(out, quality=74, method=6)
    finally:
        browser.quit()
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
