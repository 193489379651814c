"""The address of the picture of a user, organization or group."""

from __future__ import annotations


def image_display_url(site_url: str, folder: str, image_url: str | None) -> str:
    """Where the picture is: a link as it is, an uploaded file under ``SITE/uploads/<folder>/``, or ``""``."""
    if not image_url or image_url.startswith(("http://", "https://")):
        return image_url or ""
    return f"{site_url}/uploads/{folder}/{image_url}"
