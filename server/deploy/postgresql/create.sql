-- As PostgreSQL's administrator, once: runuser -u postgres -- psql --file=create.sql
-- The role owns its one database and is no superuser. It is called as the relay's user on the machine, who needs no
-- password then (peer). From another machine it needs one, or a certificate.
CREATE ROLE "backchannel-relay" LOGIN;
CREATE DATABASE backchannel OWNER "backchannel-relay" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE backchannel FROM PUBLIC;
