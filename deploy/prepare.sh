#!/usr/bin/env bash
# Makes the files of a network of five tiers for compose.yaml: authorities, keys, passwords,
# configurations, definitions of brokers. For trying out on one machine: in service, keys are made
# where they stay, the root's key is kept off line, and passphrases protect the others.
#
#   deploy/prepare.sh FOLDER      `bbaj` is on the PATH; what is there already stays as it is
set -euo pipefail

folder=${1:?"usage: deploy/prepare.sh FOLDER"}
nodes=(kz kz.zhambyl kz.zhambyl.taraz kz.zhambyl.taraz.auliyeata kz.zhambyl.taraz.auliyeata.school-7)
tiers=(republic oblast city district school)
# Users of the images: PostgreSQL's and RabbitMQ's own are 999 both, ours is 10001.
service_user=999
node_user=10001

if [ -e "$folder/ready" ]; then
    exit 0
fi
umask 077
mkdir -p "$folder"

secret() {
    [ -e "$1" ] || openssl rand -hex 24 >"$1"
}

authority() {
    [ -e "$folder/ca/root.pem" ] || bbaj ca init "$folder/ca"
    local address
    for address in kz kz.zhambyl; do
        [ -e "$folder/ca/authorities/$address" ] || bbaj ca authority "$folder/ca" "$address"
    done
}

# keys ADDRESS TIER CHILD: keys and card, while those of all parents lie together.
keys() {
    local address=$1 tier=$2 child=$3
    [ -e "$folder/ca/nodes/$address" ] || [ -e "$folder/$address/node/keys" ] ||
        bbaj ca node "$folder/ca" "$address" --tier "$tier" ${child:+--with-children}
}

# node ADDRESS PARENT CHILD: an empty PARENT at the root, an empty CHILD at a leaf.
node() {
    local address=$1 parent=$2 child=$3 here=$folder/$1/node
    mkdir -p "$here/authorities" "$here/crls" "$here/cards" "$folder/$address/database"
    [ -e "$here/keys" ] || mv "$folder/ca/nodes/$address" "$here/keys"
    cp "$folder"/ca/cards/* "$here/cards/"
    for path in "$folder"/ca/authorities/*; do
        cp "$path/cert.pem" "$here/authorities/$(basename "$path").pem"
    done
    cp "$folder"/ca/crls/*.pem "$here/crls/"
    secret "$here/owner.password"
    secret "$here/daemon.password"
    secret "$folder/$address/database/superuser.password"
    cp "$here/owner.password" "$here/daemon.password" "$folder/$address/database/"
    configuration "$address" "$parent" "$child" >"$here/node.toml"
    [ -z "$child" ] || broker "$address"
}

# The name of an address's services in compose.yaml: its last label.
configuration() {
    local address=$1 parent=$2 child=$3 name=${1##*.}
    cat <<END
address = "$address"
data = "/var/lib/bbaj"

[keys]
folder = "keys"
root = "keys/root.pem"
authorities = "authorities"
crls = "crls"
cards = "cards"

[database]
url = "postgresql://bbaj_daemon@database-$name/bbaj"
password_file = "daemon.password"
owner_url = "postgresql://bbaj_owner@database-$name/bbaj"
owner_password_file = "owner.password"

[http]
host = "0.0.0.0"
END
    [ -z "$parent" ] || cat <<END

[parent]
urls = ["amqps://broker-${parent##*.}:5671"]
END
    [ -z "$child" ] || cat <<END

[broker]
url = "amqp://127.0.0.1:5672"
user = "bbaj_daemon"
password_file = "broker.password"
crls = "/var/lib/bbaj-crls"
END
}

broker() {
    local here=$folder/$1/node target=$folder/$1/broker
    mkdir -p "$target" "$folder/$1/crls"
    # Lists are public: the node writes them, its broker reads them.
    chmod 755 "$folder/$1/crls"
    secret "$here/broker.password"
    cp "$here/keys/root.pem" "$here/keys/link.pem" "$here/keys/link.key" "$target/"
    bbaj --config "$here/node.toml" topology --print >"$target/definitions.json"
}

authority
for index in "${!nodes[@]}"; do
    keys "${nodes[index]}" "${tiers[index]}" "${nodes[index + 1]:-}"
done
for index in "${!nodes[@]}"; do
    address=${nodes[index]}
    parent=
    [ "$index" -eq 0 ] || parent=${nodes[index - 1]}
    node "$address" "$parent" "${nodes[index + 1]:-}"
    if [ "$(id -u)" -eq 0 ]; then
        chown -R "$service_user" "$folder/$address"
        chown -R "$node_user" "$folder/$address/node"
        [ ! -e "$folder/$address/crls" ] || chown "$node_user" "$folder/$address/crls"
        chmod 711 "$folder" "$folder/$address"
    fi
done
touch "$folder/ready"
