"""One headless Chromium, driven by selenium, and scripts that measure a page in it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars"
)
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900), "laptop": (1280, 800)}
# Contrast of every text that is drawn, against what lies behind it, as WCAG 2 defines it.
CONTRAST = """
const channel = (x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
const parse = (text) => {
  const n = text.match(/[\\d.]+/g).map(Number);
  return [n[0], n[1], n[2], n.length > 3 ? n[3] : 1];
};
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const over = (a, b) => [0, 1, 2].map((k) => a[k] * a[3] + b[k] * (1 - a[3])).concat(1);
function behind(node) {
  const stack = [];
  for (let n = node; n && n.nodeType === 1; n = n.parentElement) {
    const c = parse(getComputedStyle(n).backgroundColor);
    stack.push(c);
    if (c[3] === 1) break;
  }
  return stack.reduceRight((below, c) => over(c, below), [255, 255, 255, 1]);
}
const bad = [];
let seen = 0;
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const node = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || !node.getClientRects().length) continue;
  if (node.closest("script, style, title, noscript, .skip, [hidden], button:disabled")) continue;
  const style = getComputedStyle(node), drawn = node.closest("svg");
  const ink = parse(drawn ? style.fill : style.color), ground = behind(drawn ? drawn.parentElement : node);
  const a = light(over(ink, ground)), b = light(ground), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen += 1;
  if (ratio < 4.5) bad.push([walk.currentNode.data.trim().slice(0, 40), ratio.toFixed(2)]);
}
return [seen, bad];
"""
# Colors of classes against the card that they are drawn on: graphics need 3 to 1.
CLASS_CONTRAST = """
const style = getComputedStyle(document.documentElement);
const rgb = (name) => {
  const t = document.createElement("i");
  t.style.color = `var(${name})`;
  document.body.append(t);
  const c = getComputedStyle(t).color.match(/[\\d.]+/g).map(Number);
  t.remove();
  return c;
};
const channel = (x) => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const card = light(rgb("--card"));
return [...Array(12).keys()].map((k) => {
  const a = light(rgb("--k" + k));
  return (Math.max(a, card) + 0.05) / (Math.min(a, card) + 0.05);
});
"""


class Browser:
    """One Chromium, and what the tests do with it."""

    def __init__(self, profile: Path, *, program: str, driver: str) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        options = Options()
        options.binary_location = program
        for flag in (*OPTIONS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver, env={**os.environ, "no_proxy": "*"}))
        self.driver.set_page_load_timeout(60)
        self.dark = False

    def open(self, page: Path | str, size: str = "desktop", *, dark: bool = False) -> None:
        """Load a file or an address in a window of one of `SIZES`."""
        width, height = SIZES[size]
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size in ("phone", "tablet")}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(page if isinstance(page, str) else page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: Any, seconds: float = 45.0) -> Any:
        """The first true value of `script`."""
        until = time.monotonic() + seconds
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < until, script
            time.sleep(0.03)
        return value

    def keys(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, **({} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}))

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        dots = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": dots})

    def box(self, selector: str) -> dict[str, float]:
        """Place of the first element in the window, scrolled into view."""
        script = (
            "const n = document.querySelector(arguments[0]); n.scrollIntoView({block: 'center'}); "
            "const r = n.getBoundingClientRect(); return {x: r.x, y: r.y, w: r.width, h: r.height};"
        )
        return dict(self.run(script, selector))

    def view(self) -> tuple[float, float]:
        """Seconds of media in view, after the next frame."""
        script = (
            "const done = arguments[arguments.length - 1], n = document.getElementById('lanes').dataset;"
            "requestAnimationFrame(() => requestAnimationFrame(() => done([n.from, n.to])));"
        )
        start, end = self.driver.execute_async_script(script)
        return float(start), float(end)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                found.append(message["params"].get("request", message["params"])["url"])
        return found
