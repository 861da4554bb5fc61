#!/bin/sh
# Write the password to a file that only this user can read; the server then replaces this process.
set -eu
umask 077
{
    echo "requirepass $(cat /run/secrets-of-churn/redis/redis_password)"
    cat /etc/redis/redis.conf
} > /run/redis/redis.conf
exec redis-server /run/redis/redis.conf
