-- The magpie surface: who is who, and who may do what on which resource. Ids of users, groups and
-- resources are small numbers for foreign clients and never used again.
CREATE TABLE magpie_user (
    id {counted_key},
    name {text_key} NOT NULL,
    email {text_key},
    password TEXT, -- as api/password.h writes it; NULL = none, so no sign-in
    status BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX magpie_user_name ON magpie_user (name);
CREATE UNIQUE INDEX magpie_user_email ON magpie_user (email) WHERE email IS NOT NULL;

CREATE TABLE magpie_group (
    id {counted_key},
    name {text_key} NOT NULL,
    description TEXT NOT NULL,
    discoverable BIGINT NOT NULL,
    terms TEXT NOT NULL
);
CREATE UNIQUE INDEX magpie_group_name ON magpie_group (name);

CREATE TABLE magpie_membership (
    user_id BIGINT NOT NULL,
    group_id BIGINT NOT NULL,
    PRIMARY KEY (user_id, group_id)
) {without_rowid};
CREATE INDEX magpie_membership_group ON magpie_membership (group_id, user_id);

-- A tree for each service, whose root (without a parent) is the service itself.
CREATE TABLE magpie_resource (
    id {counted_key},
    parent_id BIGINT,
    service_id BIGINT, -- the root, NULL at the root
    name {text_key} NOT NULL,
    display_name TEXT NOT NULL,
    type {text_key} NOT NULL
);
CREATE UNIQUE INDEX magpie_resource_sibling ON magpie_resource (parent_id, name)
    WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX magpie_resource_root ON magpie_resource (name) WHERE parent_id IS NULL;
CREATE INDEX magpie_resource_service ON magpie_resource (service_id, id)
    WHERE service_id IS NOT NULL;

CREATE TABLE magpie_service (
    resource_id {id_key},
    type {text_key} NOT NULL,
    url TEXT NOT NULL,
    sync_type TEXT,
    configuration TEXT,
    resources BIGINT NOT NULL -- how many stand below it
);

-- access: 0 allow, 1 deny. scope: 0 recursive, 1 match.
CREATE TABLE magpie_user_permission (
    user_id BIGINT NOT NULL,
    resource_id BIGINT NOT NULL,
    name {text_key} NOT NULL,
    access BIGINT NOT NULL,
    scope BIGINT NOT NULL,
    PRIMARY KEY (user_id, resource_id, name)
) {without_rowid};
CREATE INDEX magpie_user_permission_resource ON magpie_user_permission (resource_id);

CREATE TABLE magpie_group_permission (
    group_id BIGINT NOT NULL,
    resource_id BIGINT NOT NULL,
    name {text_key} NOT NULL,
    access BIGINT NOT NULL,
    scope BIGINT NOT NULL,
    PRIMARY KEY (group_id, resource_id, name)
) {without_rowid};
CREATE INDEX magpie_group_permission_resource ON magpie_group_permission (resource_id);

-- Callback URLs, and sessions of people who signed in. The id has the time; the texts are not kept.
CREATE TABLE magpie_callback (
    id {id_key},
    token_hash {blob} NOT NULL,
    user_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX magpie_callback_hash ON magpie_callback (token_hash);
CREATE INDEX magpie_callback_user ON magpie_callback (user_id);

CREATE TABLE magpie_session (
    id {id_key},
    token_hash {blob} NOT NULL,
    user_id BIGINT NOT NULL
);
CREATE UNIQUE INDEX magpie_session_hash ON magpie_session (token_hash);
CREATE INDEX magpie_session_user ON magpie_session (user_id);

-- Their ids are 1 and 2, and 1 (surfaces/magpie/user.h).
INSERT INTO magpie_group (name, description, discoverable, terms) VALUES ('anonymous', '', 0, '');
INSERT INTO magpie_group (name, description, discoverable, terms)
    VALUES ('administrators', '', 0, '');
INSERT INTO magpie_user (name, status, created_at) VALUES ('anonymous', 1, 0);
INSERT INTO magpie_membership (user_id, group_id) VALUES (1, 1);
