"""The routes of users."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from functions.shared import aws, clock
from functions.shared.domain.errors import AlreadyExists, EmailTaken, InvalidInput
from functions.shared.domain.users import Email, NewUser, User, UserPatch
from functions.shared.environment import required
from functions.shared.http import PAGE, Answer, Api, etag
from functions.shared.observability import logger
from functions.shared.persistence.pages import Page
from functions.shared.persistence.requests import RequestRepository
from functions.shared.persistence.users import UserRepository

_dynamodb = aws.client("dynamodb")
_users = UserRepository(_dynamodb, required("USERS_TABLE"), required("EMAILS_TABLE"))
api = Api(RequestRepository(_dynamodb, required("REQUESTS_TABLE")))


@logger.inject_lambda_context(clear_state=True)
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answers one request."""
    return api.handle(event, context)


@api.route("POST", "/users", takes=NewUser, raises=(EmailTaken,), idempotent=True)
def create_user(body: NewUser) -> Answer[User]:
    """Register a user."""
    now = clock.now()
    user = User(
        user_id=api.new_id(), name=body.name, email=body.email, version=1, created_at=now, updated_at=now
    )
    user = _users.create(user)
    return _one(user, HTTPStatus.CREATED, Location=f"{api.location}/{user.user_id}")


@api.route("GET", "/users", query=(*PAGE, "email"))
def list_users() -> Answer[Page[User]]:
    """Get a page of all users, or the user with an e-mail address."""
    limit, token = api.page()
    email = api.parameter("email", Email)
    page = _users.records.page(limit, token) if email is None else _users.find_by_email(email, token)
    return Answer(HTTPStatus.OK, page)


@api.route("GET", "/users/<user_id>")
def get_user(user_id: str) -> Answer[User]:
    """Get one user."""
    return _one(_users.records.get(user_id))


@api.route("PUT", "/users/<user_id>", takes=NewUser, raises=(AlreadyExists, EmailTaken))
def put_user(user_id: str, body: NewUser) -> Answer[User]:
    """Create a user under this id (201), or replace it (200).

    `If-None-Match: *` only creates, `If-Match` only replaces.
    """
    fields = msgspec.to_builtins(body)
    user, is_new = _users.put(user_id, fields, at=clock.now(), condition=api.precondition())
    return _one(user, HTTPStatus.CREATED, Location=api.location) if is_new else _one(user)


@api.route("PATCH", "/users/<user_id>", takes=UserPatch, raises=(EmailTaken,))
def change_user(user_id: str, body: UserPatch) -> Answer[User]:
    """Change the fields that were sent, and no others."""
    changes = msgspec.to_builtins(body)
    if not changes:
        raise InvalidInput("expected at least one of name, email", "body")
    return _one(_users.patch(user_id, changes, at=clock.now(), versions=api.if_match()))


@api.route("DELETE", "/users/<user_id>")
def delete_user(user_id: str) -> Answer[None]:
    """Delete a user. The user's orders stay."""
    _users.delete(user_id, versions=api.if_match())
    return Answer(HTTPStatus.NO_CONTENT)


def _one(user: User, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Answer[User]:
    return Answer(status, user, {"ETag": etag(user.version), **headers})
