"""Run by Alembic over the connection that backchannel.server.migrate hands to it."""

from alembic import context

from backchannel.server.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
