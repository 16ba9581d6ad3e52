# $1: 0 removal, 1 upgrade. Data in /var/lib/assay-collector and the user stay, as is the custom here.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart assay-collector.service || :
    fi
fi
