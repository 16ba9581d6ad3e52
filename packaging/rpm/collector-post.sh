# The operator names this collector in /etc/assay/collector.yaml, then starts it.
systemd-sysusers /usr/lib/sysusers.d/assay-collector.conf || :
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
