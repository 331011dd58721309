#compdef with-creds
# Completion of with-creds for zsh: source <(with-creds completion zsh), or this as _with-creds in a directory of $fpath
_with_creds() {
	local -a plain open
	local word about dashes=${words[(i)--]}
	if ((dashes < CURRENT)); then # what follows is a command, with a completion of its own
		shift $dashes words
		((CURRENT -= dashes))
		_normal
		return
	fi
	local -i nospace=0 files=0
	while IFS=$'\t' read -r word about; do
		case $word in
		:files) files=1 ;;
		:nospace) nospace=1 ;;
		*) plain+=("${word//:/\\:}${about:+:$about}") ;;
		esac
	done < <("${words[1]}" completion words -- "${(j: :)words[1,CURRENT]}" 2>/dev/null)
	if ((nospace)); then
		_describe -V 'with-creds' plain -S ''
	elif ((${#plain})); then
		_describe -V 'with-creds' plain
	fi
	((files)) && _files
}
if [[ $funcstack[1] == _with-creds ]]; then
	_with_creds "$@"
else
	compdef _with_creds with-creds
fi
