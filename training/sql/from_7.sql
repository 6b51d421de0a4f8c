alter table spa_attempts add column reasoning varchar;
