# $1: 1 first installation, 2 upgrade
systemd-sysusers /usr/lib/sysusers.d/assay.conf || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" -eq 1 ]; then
    systemctl preset assay-agent.service assay-token.path >/dev/null 2>&1 || :
    if [ -d /run/systemd/system ]; then
        systemctl --no-block start assay-agent.service assay-token.path || :
    fi
fi
