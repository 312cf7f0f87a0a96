# fish completion for revproxyd(8)

set -l control '__fish_seen_subcommand_from ctl upgrade'
set -l verb '__fish_seen_subcommand_from ctl'
set -l plain "not $control"

complete -c revproxyd -f
complete -c revproxyd -n __fish_is_first_token -a ctl -d 'Speak to the running daemon'
complete -c revproxyd -n __fish_is_first_token -a upgrade -d 'Replace the running binary without a stop'

complete -c revproxyd -s c -r -F -d 'The configuration'
complete -c revproxyd -n $plain -s t -d 'Test the configuration'
complete -c revproxyd -n $plain -s T -d 'Print the configuration with every default'
complete -c revproxyd -n $plain -s V -d 'Print versions'
complete -c revproxyd -n $plain -s h -l help -d 'Print a summary'
complete -c revproxyd -n $plain -l strict -d 'Warnings count'
complete -c revproxyd -n $plain -l schema -d 'Print a JSON Schema of the configuration'
complete -c revproxyd -n $plain -l listen -x -d 'Listen at this address'
complete -c revproxyd -n $plain -l to -x -a 'http:// https:// h2c:// unix:' -d 'Forward everything to these servers'

complete -c revproxyd -n $control -l socket -r -F -d 'The admin socket'
set -l verbs reload upgrade drain status stats
complete -c revproxyd -n "$verb; and not __fish_seen_subcommand_from $verbs" -a reload -d 'Take up the configuration'
complete -c revproxyd -n "$verb; and not __fish_seen_subcommand_from $verbs" -a upgrade -d 'Replace the running binary without a stop'
complete -c revproxyd -n "$verb; and not __fish_seen_subcommand_from $verbs" -a drain -d 'Stop gracefully'
complete -c revproxyd -n "$verb; and not __fish_seen_subcommand_from $verbs" -a status -d 'Say what runs'
complete -c revproxyd -n "$verb; and not __fish_seen_subcommand_from $verbs" -a stats -d 'Print counters'
