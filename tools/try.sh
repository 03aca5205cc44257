#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# `make run`: the service on 127.0.0.1:8000, a receiver on 127.0.0.1:9000, and one schedule between them. Ctrl-C ends all.
set -eu

binary=build/seed-scheduler
listen=${SCHEDULER_LISTEN:-127.0.0.1:8000}
receiver_port=${RECEIVER_PORT:-9000}
export SCHEDULER_DATABASE="${SCHEDULER_DATABASE:-sqlite:var/scheduler.db}"
log=var/service.log
mkdir -p var
service="" receiver="" id=""

stop() {
	trap - EXIT INT TERM
	[ -z "$id" ] || curl -fsS -o /dev/null -X DELETE "http://$listen/api/v1/schedule/$id/" \
		-H "Authorization: Token $token" || true
	[ -z "$service" ] || kill "$service" 2>/dev/null || true
	[ -z "$service" ] || wait "$service" 2>/dev/null || true
	[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 0' INT TERM

python3 tools/receiver.py --port "$receiver_port" &
receiver=$!
$binary serve --listen "$listen" --egress-allow 127.0.0.0/8 2>"$log" &
service=$!

tries=0
until curl -fsS -o /dev/null "http://$listen/healthz" 2>/dev/null; do
	tries=$((tries + 1))
	if ! kill -0 "$service" 2>/dev/null || [ $tries -gt 100 ]; then
		echo "The service did not start; $log says:" >&2
		tail -n 5 "$log" >&2
		exit 1
	fi
	sleep 0.1
done
if ! kill -0 "$receiver" 2>/dev/null; then
	echo "The receiver did not start; is port $receiver_port in use? RECEIVER_PORT=9001 make run" >&2
	exit 1
fi

$binary user list | cut -f2 | grep -qx admin || $binary user create admin --email admin@example.org --admin
# One token for all trials in this folder.
token=$(cat var/token 2>/dev/null || true)
if ! curl -fsS -o /dev/null "http://$listen/api/v1/" -H "Authorization: Token $token" 2>/dev/null; then
	token=$($binary token create admin)
	(umask 077 && echo "$token" >var/token)
fi

body="{\"endpoint\": \"http://127.0.0.1:$receiver_port/hello\", \"interval_definition\": \"3 seconds\",
	\"payload\": {\"greeting\": \"hello\"}}"
created=$(curl -fsS "http://$listen/api/v1/schedule/" -H "Authorization: Token $token" \
	-H 'Content-Type: application/json' -d "$body")
id=$(printf '%s' "$created" | sed 's/.*"id":"\([^"]*\)".*/\1/')

cat <<TEXT

Seed Scheduler listens on http://$listen/, its log is $log, its database $SCHEDULER_DATABASE.
A schedule calls the receiver every 3 seconds; what arrives is printed below. Try, in another terminal:

  export TOKEN=$token

  # call an endpoint each minute
  curl http://$listen/api/v1/schedule/ -H "Authorization: Token \$TOKEN" -H 'Content-Type: application/json' \\
    -d '{"endpoint": "http://127.0.0.1:$receiver_port/each-minute", "cron_definition": "* * * * *", "payload": {"n": 1}}'

  # all schedules, and the end of the one that fires now
  curl http://$listen/api/v1/schedule/ -H "Authorization: Token \$TOKEN"
  curl -X DELETE http://$listen/api/v1/schedule/$id/ -H "Authorization: Token \$TOKEN"

  # what is going on
  curl http://$listen/metrics

Ctrl-C ends the trial schedule and stops everything; the database stays.

TEXT
wait "$service"
