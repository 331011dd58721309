-- A small shop, and the group that decides what a build may do in it.
BEGIN;
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE);
CREATE TABLE products (id int PRIMARY KEY, name text NOT NULL, price_cents int NOT NULL CHECK (price_cents > 0));
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customers, ordered date NOT NULL);
CREATE TABLE order_lines (
	"order" int REFERENCES orders, product int REFERENCES products, quantity int NOT NULL, PRIMARY KEY ("order", product)
);
INSERT INTO customers SELECT i, 'Customer ' || i, 'customer' || i || '@shop.test' FROM generate_series(1, 60) i;
INSERT INTO products SELECT i, 'Product ' || i, 100 + (i * 7919) % 9900 FROM generate_series(1, 40) i;
INSERT INTO orders SELECT i, 1 + (i * 31) % 60, date '2026-01-01' + i % 300 FROM generate_series(1, 240) i;
INSERT INTO order_lines SELECT o, 1 + (o * 17 + l * 13) % 40, 1 + (o + l) % 5
	FROM generate_series(1, 240) o, generate_series(1, 2) l;

CREATE ROLE readonly NOLOGIN;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO readonly;
-- Who makes the logins of a build. It need not be a superuser: it may make roles and pass readonly on, and that is all.
-- Its password is set by the script, from a random one.
CREATE ROLE ci_admin LOGIN CREATEROLE;
GRANT readonly TO ci_admin WITH ADMIN OPTION;
COMMIT;
