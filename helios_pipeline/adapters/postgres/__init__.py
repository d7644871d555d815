"""PostgreSQL: embedded server, migrations, roles and stores."""
