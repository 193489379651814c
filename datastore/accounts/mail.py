"""Mail to users: plain text, by the server that the settings name."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage

import structlog

from datastore.settings import Settings

log = structlog.get_logger(__name__)


class MailError(Exception):
    """The mail was not taken by the server. The text says why, for the log."""


async def send(settings: Settings, to: str, subject: str, body: str) -> None:
    """Hand a mail to the server, in a thread. Raises :class:`MailError`.

    ``to`` is an address that passed :func:`datastore.validation.email`.
    """
    message = EmailMessage()
    message["From"] = settings.smtp_mail_from or f"{settings.site_id}@localhost"
    message["To"] = to
    message["Subject"] = " ".join(subject.split())
    message.set_content(body)
    try:
        await asyncio.to_thread(_send, settings, message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        log.warning("mail_not_sent", error=repr(error))
        raise MailError(repr(error)) from error


def _send(settings: Settings, message: EmailMessage) -> None:
    host, _, port = settings.smtp_server.partition(":")
    with smtplib.SMTP(host, int(port or 25), timeout=settings.smtp_timeout) as server:
        if settings.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_user:
            server.login(settings.smtp_user, settings.smtp_password or "")
        server.send_message(message)
