"""Opening a page, and measuring its colours."""

from __future__ import annotations

from playwright.sync_api import Browser, Page


def opened(browser: Browser, address: str, **options: object) -> tuple[Page, list[str]]:
    """A page of a file or of a server, and whatever it complained of or asked anybody else."""
    page = browser.new_page(**options)  # type: ignore[arg-type]
    own = "file:" if address.startswith("file:") else address
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda one: trouble.append(one.url) if not one.url.startswith(own) else None)
    page.goto(address)
    return page, trouble


def brightness(colour: str) -> float:
    """Relative luminance of an `rgb(...)`, 0 to 1, by WCAG 2."""
    parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21, by WCAG 2."""
    light, dark = sorted((brightness(one), brightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
