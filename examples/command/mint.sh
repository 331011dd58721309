#!/bin/sh
# A source of credentials for with-creds, in shell: tokens of a service that has an HTTP API. It needs curl and jq.
#
#   export TOKENS_URL=https://tokens.example WITH_CREDS_COMMAND_ENV_TOKENS_KEY=…
#   export WITH_CREDS_COMMAND_ENV=TOKENS_URL,TOKENS_KEY
#   with-creds -c 'command:./mint.sh API_TOKEN=token' -- ./deploy
#
# The protocol is in the documentation of package providers/command; `with-creds provider check ./mint.sh` tries it.
set -eu

question=$(cat)
ask() { printf '%s' "$question" | jq -r "$1"; }

answer_error() { # WHY REFUSED
	jq -cn --arg why "$1" --argjson refused "$2" '{version: 1, error: $why, refused: $refused}'
	exit 0
}

[ "$(ask .version)" = 1 ] || answer_error 'this program speaks version 1 of the protocol' true

# api METHOD [JSON]: sets $status and $body. The key goes over standard input, for arguments are seen by everybody; the answer stays in memory.
api() {
	body=$(printf 'header = "Authorization: Bearer %s"\n' "$TOKENS_KEY" |
		curl -sS -K - -w '\n%{http_code}' --max-time 20 -X "$1" -d "${2-}" "$TOKENS_URL/tokens/$(ask .id)") ||
		answer_error "$TOKENS_URL cannot be reached" false
	status=${body##*"
"}
	body=${body%"
"*}
	[ "$status" != 401 ] || answer_error "$TOKENS_URL does not accept TOKENS_KEY" true
}

case $1 in
issue)
	max=$(ask '.parameters.max_ttl // 3600 | tonumber') # seconds: command:./mint.sh?max_ttl=900
	api POST "$(ask '{ttl}' | jq -c --argjson max "$max" '.max_ttl = $max')"
	[ "$status" = 201 ] || answer_error "making a token: status $status" false
	# The id is all that renew and revoke need, so there is no lease.
	printf '%s' "$body" | jq -c --arg id "$(ask .id)" --argjson max "$max" '{version: 1, ttl: .expires_in, max_ttl: $max, renewable: true,
		fields: {token, username: {value: $id, secret: false}}}'
	;;
renew)
	api PATCH "$(ask '{ttl}')"
	[ "$status" != 404 ] || answer_error 'the token is gone' true
	[ "$status" = 200 ] || answer_error "extending a token: status $status" false
	printf '%s' "$body" | jq -c '{version: 1, ttl: .expires_in, renewable: true}'
	;;
revoke)
	api DELETE
	case $status in
	204 | 404) echo '{"version": 1, "proof": "proven"}' ;; # 404: it is gone already, or never was
	*) answer_error "removing a token: status $status" false ;;
	esac
	;;
*) answer_error "there is no action $1" true ;;
esac
