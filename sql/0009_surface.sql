-- Tokens of surfaces (store/surface_token.h). Their texts are not kept.
CREATE TABLE surface_token (
    id {id_key},
    surface {text_key} NOT NULL,
    token_hash {blob} NOT NULL,
    subject {text_key} NOT NULL,
    grants TEXT NOT NULL,
    name TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX surface_token_hash ON surface_token (token_hash);
CREATE INDEX surface_token_surface ON surface_token (surface, id);
