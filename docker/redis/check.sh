#!/bin/sh
# Writes and reads with the password: a server that is loading or full gives another answer.
set -eu
REDISCLI_AUTH=$(cat /run/secrets-of-churn/redis/redis_password)
export REDISCLI_AUTH
redis-cli set churn:health "$(date +%s)" ex 60 | grep -qx OK
