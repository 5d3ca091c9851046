-- Roles and what they may do (S11): guest < user < moderator < admin.
-- Guests have no account, so theirs is the only role nobody holds; it says what needs no login.
INSERT INTO roles (id, name, rank) VALUES
    (0, 'guest', 0),
    (1, 'user', 1),
    (2, 'moderator', 2),
    (3, 'admin', 3)
ON CONFLICT DO NOTHING;

INSERT INTO permissions (role_id, resource, action, condition) VALUES
    (0, 'post', 'read', NULL),
    (0, 'comment', 'read', NULL),
    (1, 'post', 'create', NULL),
    (1, 'post', 'vote', NULL),
    (1, 'post', 'edit', 'own'),
    (1, 'post', 'delete', 'own'),
    (1, 'comment', 'create', NULL),
    (1, 'comment', 'vote', NULL),
    (1, 'comment', 'edit', 'own'),
    (1, 'comment', 'delete', 'own'),
    (2, 'post', 'remove', NULL),
    (2, 'post', 'restore', NULL),
    (2, 'comment', 'remove', NULL),
    (2, 'comment', 'restore', NULL),
    (2, 'user', 'ban', NULL),
    (2, 'user', 'unban', NULL),
    (3, '*', '*', NULL)
ON CONFLICT DO NOTHING;
