#!/bin/sh
# The password goes into a file that only this user reads; then the server takes this process.
set -eu
umask 077
{
    echo "requirepass $(cat /run/secrets-of-churn/redis/redis_password)"
    cat /etc/redis/redis.conf
} > /run/redis/redis.conf
exec redis-server /run/redis/redis.conf
