# Finds, starts and stops throw-away databases: a PostgreSQL without durability and a Redis without a
# file, on unix sockets in a temporary folder. Sourced by the other scripts, never run.
# It must not know what is stored in them.
# shellcheck shell=bash disable=SC2034  # postgres_pid and redis_pid are for the caller

# Prints the folder that holds `initdb` and `postgres` of the newest PostgreSQL from version 15 on,
# looking where the binary itself looks. Fails when there is none.
postgres_bin() {
  local dir version best='' best_version=14
  while IFS= read -r dir; do
    if [ ! -x "$dir/initdb" ] || [ ! -x "$dir/postgres" ]; then
      continue
    fi
    version=$("$dir/initdb" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p')
    if [ -n "$version" ] && [ "$version" -gt "$best_version" ]; then
      best=$dir best_version=$version
    fi
  done < <(
    [ -z "${BETTERNEWS_PG_BIN:-}" ] || printf '%s\n' "$BETTERNEWS_PG_BIN"
    pg_config --bindir 2>/dev/null || true
    printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
      /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin
    printf '%s' "$PATH" | tr ':' '\n'
    printf '\n'
  )
  [ -n "$best" ] && printf '%s\n' "$best"
}

# Prints the path of a Redis server, or of Valkey, which speaks the same protocol.
redis_server() {
  command -v redis-server || command -v valkey-server
}

# Runs a command as someone PostgreSQL accepts: it refuses root. `exec` keeps the process id, so that
# the one who started it can end it. Call it in a subshell or in the background.
exec_as_postgres() {
  local user=postgres
  if [ "$(id -u)" -ne 0 ]; then
    exec "$@"
  fi
  id -u "$user" >/dev/null 2>&1 || user=nobody
  exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
}

# start_postgres FOLDER [OPTION...]: a new cluster under FOLDER, answering on FOLDER/.s.PGSQL.5432
# when this returns. Sets `postgres_pid`. Its superuser is `betternews`, trusted on the socket.
# OPTIONs are handed to the server after the ones for throw-away data and win over them.
start_postgres() {
  local folder=$1 bin
  shift
  bin=$(postgres_bin)
  mkdir -p "$folder"
  if [ "$(id -u)" -eq 0 ]; then
    chown "$(id -u postgres 2>/dev/null || id -u nobody)" "$folder"
  fi
  if ! (cd / && exec_as_postgres "$bin/initdb" --pgdata="$folder/cluster" --username=betternews \
    --auth=trust --encoding=UTF8 --locale=C --no-sync) >"$folder/initdb.log" 2>&1; then
    cat "$folder/initdb.log" >&2
    return 1
  fi
  (cd / && exec_as_postgres "$bin/postgres" -D "$folder/cluster" -k "$folder" -h '' \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 \
    -c shared_buffers=256MB "$@") >"$folder/postgres.log" 2>&1 &
  postgres_pid=$!
  wait_until 30 "$bin/pg_isready" --quiet --host="$folder" --dbname=postgres || {
    cat "$folder/postgres.log" >&2
    return 1
  }
}

# start_redis FOLDER: a Redis that keeps nothing, on FOLDER/redis.sock when this returns. Sets `redis_pid`.
start_redis() {
  local folder=$1
  mkdir -p "$folder"
  "$(redis_server)" --port 0 --unixsocket "$folder/redis.sock" --save '' --appendonly no \
    --dir "$folder" >"$folder/redis.log" 2>&1 &
  redis_pid=$!
  wait_until 10 test -S "$folder/redis.sock" || {
    cat "$folder/redis.log" >&2
    return 1
  }
}

# wait_until SECONDS COMMAND...: tries the command ten times a second until it succeeds or time is up.
wait_until() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

# stop_process PID [SIGNAL]: asks, waits up to 15 s, then ends it. Only for children of this shell.
stop_process() {
  local pid=$1
  kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
  wait_until 15 process_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

process_gone() {
  ! kill -0 "$1" 2>/dev/null
}
