# bash completion for revproxyd(8)

_revproxyd() {
  local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} words
  COMPREPLY=()

  # --option=VALUE comes as three words.
  if [[ $option == = ]]; then
    option=${COMP_WORDS[COMP_CWORD - 2]}
  elif [[ $word == = ]]; then
    word=
  fi

  case $option in
    -c | --socket)
      compopt -o default 2>/dev/null
      return
      ;;
    --listen)
      return
      ;;
    --to)
      compopt -o nospace 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -W "http:// https:// h2c:// unix:" -- "$word")
      return
      ;;
  esac

  if [[ ! ${COMP_WORDS[1]} =~ ^(ctl|upgrade)$ || $COMP_CWORD -eq 1 ]]; then
    words="-c -t -T -V -h --strict --schema --listen --to --help"
    if [[ $COMP_CWORD -eq 1 ]]; then words+=" ctl upgrade"; fi
  else
    words="-c --socket"
    if [[ ${COMP_WORDS[1]} == ctl && $COMP_CWORD -eq 2 ]]; then words+=" reload upgrade drain status stats"; fi
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _revproxyd revproxyd
