# $1: 0 removal, 1 upgrade. State in /var/lib/assay and the users stay, as is the custom here.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart assay-agent.service || :
    fi
fi
