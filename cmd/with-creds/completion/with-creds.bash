# Completion of with-creds for bash: source <(with-creds completion bash)
_with_creds() {
	local line=${COMP_LINE:0:COMP_POINT} word i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then # what follows is a command, with a completion of its own
			if declare -F _comp_command_offset >/dev/null; then
				_comp_command_offset $((i + 1))
			elif declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
			elif ((COMP_CWORD == i + 1)); then
				mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
			else
				compopt -o default
			fi
			return
		fi
	done
	while IFS= read -r word; do
		word=${word%%$'\t'*}
		case $word in
		:files) compopt -o default ;;
		:nospace) compopt -o nospace ;;
		*) COMPREPLY+=("$word") ;;
		esac
	done < <("${COMP_WORDS[0]}" completion words -- "$line" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -F _with_creds with-creds
