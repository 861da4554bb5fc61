#!/bin/sh
# At the first start: create one user and one database per client, with nothing shared.
# Called again (docs/stack.md), it creates those that are missing.
set -eu
for name in airflow metastore registry mlflow; do
    known=$(psql -U postgres -tAc "select 1 from pg_database where datname = '$name'")
    [ -z "$known" ] || continue
    psql -v ON_ERROR_STOP=1 -U postgres -v name="$name" \
        -v file="/run/secrets-of-churn/postgres/${name}_db_password" <<'SQL'
\set password `cat :'file'`
create user :"name" password :'password';
create database :"name" owner :"name";
revoke all on database :"name" from public;
SQL
done
