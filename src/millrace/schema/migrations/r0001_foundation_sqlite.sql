CREATE TABLE archive_intents (
	partition_no INTEGER NOT NULL,
	first_offset BIGINT NOT NULL,
	last_offset BIGINT NOT NULL,
	"key" TEXT NOT NULL,
	CONSTRAINT pk_archive_intents PRIMARY KEY (partition_no)
);

CREATE TABLE attributes (
	attr_id INTEGER NOT NULL,
	body TEXT NOT NULL,
	CONSTRAINT pk_attributes PRIMARY KEY (attr_id),
	CONSTRAINT uq_attributes_body UNIQUE (body)
);

CREATE TABLE audit_log (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	action TEXT NOT NULL,
	result TEXT DEFAULT 'ok' NOT NULL,
	object_type TEXT NOT NULL,
	object_id TEXT NOT NULL,
	"before" TEXT,
	"after" TEXT,
	registry_version INTEGER,
	request_id TEXT,
	ip_address TEXT,
	CONSTRAINT ck_audit_log_at CHECK (length(at) = 27),
	CONSTRAINT ck_audit_log_actor_kind CHECK (actor_kind in ('user','key','device','system','cli','open')),
	CONSTRAINT ck_audit_log_actor CHECK (length(actor) <= 128),
	CONSTRAINT ck_audit_log_action CHECK (length(action) <= 64),
	CONSTRAINT ck_audit_log_result CHECK (length(result) <= 32),
	CONSTRAINT ck_audit_log_object_type CHECK (length(object_type) <= 64),
	CONSTRAINT ck_audit_log_object_id CHECK (length(object_id) <= 255),
	CONSTRAINT ck_audit_log_before CHECK (json_valid(before)),
	CONSTRAINT ck_audit_log_after CHECK (json_valid(after)),
	CONSTRAINT ck_audit_log_request_id CHECK (length(request_id) <= 64),
	CONSTRAINT ck_audit_log_ip_address CHECK (length(ip_address) <= 45)
);

CREATE INDEX ix_audit_log_actor_at ON audit_log (actor, at);

CREATE INDEX ix_audit_log_at ON audit_log (at);

CREATE INDEX ix_audit_log_object_type_object_id_at ON audit_log (object_type, object_id, at);

CREATE TABLE counters (
	outcome TEXT NOT NULL,
	family TEXT NOT NULL,
	detail TEXT DEFAULT '' NOT NULL,
	count BIGINT DEFAULT '0' NOT NULL,
	CONSTRAINT pk_counters PRIMARY KEY (outcome, family, detail)
);

CREATE TABLE data_point_icons (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	icon_name TEXT NOT NULL,
	content TEXT DEFAULT '' NOT NULL,
	CONSTRAINT ck_data_point_icons_icon_name CHECK (length(icon_name) <= 255),
	CONSTRAINT ck_data_point_icons_content CHECK (length(content) <= 4096),
	CONSTRAINT uq_data_point_icons_icon_name UNIQUE (icon_name)
);

CREATE TABLE dead_letters (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	family TEXT NOT NULL,
	stream TEXT NOT NULL,
	partition_no INTEGER NOT NULL,
	log_offset INTEGER NOT NULL,
	element TEXT DEFAULT '' NOT NULL,
	element_index INTEGER,
	reason TEXT NOT NULL,
	detail TEXT DEFAULT '' NOT NULL,
	received_at TEXT NOT NULL,
	device_id TEXT,
	topic TEXT NOT NULL,
	payload BLOB,
	size_bytes INTEGER NOT NULL,
	status TEXT DEFAULT 'open' NOT NULL,
	redrive_count INTEGER DEFAULT 0 NOT NULL,
	resolved_at TEXT,
	resolved_by TEXT,
	comment TEXT,
	CONSTRAINT ck_dead_letters_family CHECK (length(family) <= 16),
	CONSTRAINT ck_dead_letters_stream CHECK (length(stream) <= 64),
	CONSTRAINT ck_dead_letters_element CHECK (length(element) <= 255),
	CONSTRAINT ck_dead_letters_reason CHECK (length(reason) <= 64),
	CONSTRAINT ck_dead_letters_detail CHECK (length(detail) <= 1000),
	CONSTRAINT ck_dead_letters_received_at CHECK (length(received_at) = 27),
	CONSTRAINT ck_dead_letters_device_id CHECK (length(device_id) <= 255),
	CONSTRAINT ck_dead_letters_topic CHECK (length(topic) <= 1024),
	CONSTRAINT ck_dead_letters_payload CHECK (length(payload) <= 2097152),
	CONSTRAINT ck_dead_letters_status CHECK (status in ('open','redriven','discarded')),
	CONSTRAINT ck_dead_letters_resolved_at CHECK (length(resolved_at) = 27),
	CONSTRAINT ck_dead_letters_resolved_by CHECK (length(resolved_by) <= 128),
	CONSTRAINT ck_dead_letters_comment CHECK (length(comment) <= 1000)
);

CREATE INDEX ix_dead_letters_device_id_received_at ON dead_letters (device_id, received_at);

CREATE INDEX ix_dead_letters_status_reason_received_at ON dead_letters (status, reason, received_at);

CREATE UNIQUE INDEX uq_dead_letters_stream_partition_no_log_offset_element_reason ON dead_letters (stream, partition_no, log_offset, element, reason);

CREATE TABLE device_types (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	code TEXT NOT NULL,
	name TEXT NOT NULL,
	description TEXT DEFAULT '' NOT NULL,
	family TEXT DEFAULT 'generic' NOT NULL,
	is_sensor INTEGER DEFAULT 0 NOT NULL,
	is_controller INTEGER DEFAULT 0 NOT NULL,
	CONSTRAINT ck_device_types_code CHECK (length(code) <= 64),
	CONSTRAINT ck_device_types_name CHECK (length(name) <= 255),
	CONSTRAINT ck_device_types_description CHECK (length(description) <= 1000),
	CONSTRAINT ck_device_types_family CHECK (family in ('f2','meter','sensors','generic')),
	CONSTRAINT ck_device_types_is_sensor CHECK (is_sensor in (0,1)),
	CONSTRAINT ck_device_types_is_controller CHECK (is_controller in (0,1)),
	CONSTRAINT ck_device_types_one_kind CHECK (not (is_sensor and is_controller)),
	CONSTRAINT uq_device_types_code UNIQUE (code),
	CONSTRAINT uq_device_types_name UNIQUE (name)
);

CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	position BIGINT NOT NULL,
	device_id TEXT NOT NULL,
	family TEXT NOT NULL,
	type TEXT NOT NULL,
	time_ns BIGINT NOT NULL,
	received_at_ns BIGINT NOT NULL,
	flags INTEGER DEFAULT '0' NOT NULL,
	data TEXT DEFAULT '{}' NOT NULL
);

CREATE INDEX ix_events_device ON events (device_id, time_ns);

CREATE TABLE hot_batches (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	committed_at_ns BIGINT NOT NULL,
	row_count INTEGER NOT NULL,
	frame BLOB NOT NULL
);

CREATE TABLE latest_pages (
	page INTEGER NOT NULL,
	through_id INTEGER NOT NULL,
	frame BLOB NOT NULL,
	CONSTRAINT pk_latest_pages PRIMARY KEY (page)
);

CREATE TABLE not_stored (
	partition_no INTEGER NOT NULL,
	log_offset BIGINT NOT NULL,
	CONSTRAINT pk_not_stored PRIMARY KEY (partition_no, log_offset)
);

CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	dedupe_key TEXT NOT NULL,
	channel TEXT NOT NULL,
	device_id TEXT,
	payload TEXT NOT NULL,
	state TEXT DEFAULT 'pending' NOT NULL,
	attempts INTEGER DEFAULT 0 NOT NULL,
	available_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	leased_by TEXT,
	lease_until TEXT,
	last_error TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	done_at TEXT,
	CONSTRAINT ck_outbox_dedupe_key CHECK (length(dedupe_key) <= 200),
	CONSTRAINT ck_outbox_channel CHECK (channel in ('alert','command','live','series')),
	CONSTRAINT ck_outbox_device_id CHECK (length(device_id) <= 128),
	CONSTRAINT ck_outbox_payload CHECK (json_valid(payload)),
	CONSTRAINT ck_outbox_state CHECK (state in ('pending','leased','done','dead')),
	CONSTRAINT ck_outbox_available_at CHECK (length(available_at) = 27),
	CONSTRAINT ck_outbox_leased_by CHECK (length(leased_by) <= 64),
	CONSTRAINT ck_outbox_lease_until CHECK (length(lease_until) = 27),
	CONSTRAINT ck_outbox_last_error CHECK (length(last_error) <= 500),
	CONSTRAINT ck_outbox_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_outbox_done_at CHECK (length(done_at) = 27),
	CONSTRAINT uq_outbox_dedupe_key UNIQUE (dedupe_key)
);

CREATE INDEX ix_outbox_channel_state_available_at ON outbox (channel, state, available_at);

CREATE TABLE positions (
	reader TEXT NOT NULL,
	stream TEXT NOT NULL,
	partition_no INTEGER NOT NULL,
	next_offset INTEGER DEFAULT 0 NOT NULL,
	epoch INTEGER DEFAULT 0 NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT pk_positions PRIMARY KEY (reader, stream, partition_no),
	CONSTRAINT ck_positions_reader CHECK (length(reader) <= 64),
	CONSTRAINT ck_positions_stream CHECK (length(stream) <= 64),
	CONSTRAINT ck_positions_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_positions_next_offset_range CHECK (next_offset >= 0),
	CONSTRAINT ck_positions_partition_no_range CHECK (partition_no >= 0)
);

CREATE TABLE registry_version (
	id INTEGER DEFAULT 1 NOT NULL,
	version INTEGER DEFAULT 1 NOT NULL,
	changed_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT pk_registry_version PRIMARY KEY (id),
	CONSTRAINT ck_registry_version_changed_at CHECK (length(changed_at) = 27),
	CONSTRAINT ck_registry_version_single_row CHECK (id = 1)
);

CREATE TABLE request_keys (
	principal TEXT NOT NULL,
	method TEXT NOT NULL,
	path TEXT NOT NULL,
	request_key TEXT NOT NULL,
	body_sha256 TEXT NOT NULL,
	http_status INTEGER,
	response BLOB,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	expires_at TEXT NOT NULL,
	CONSTRAINT pk_request_keys PRIMARY KEY (principal, method, path, request_key),
	CONSTRAINT ck_request_keys_principal CHECK (length(principal) <= 128),
	CONSTRAINT ck_request_keys_method CHECK (length(method) <= 8),
	CONSTRAINT ck_request_keys_path CHECK (length(path) <= 1024),
	CONSTRAINT ck_request_keys_request_key CHECK (length(request_key) <= 128),
	CONSTRAINT ck_request_keys_body_sha256 CHECK (length(body_sha256) = 64 and ltrim(body_sha256,'0123456789abcdef') = ''),
	CONSTRAINT ck_request_keys_response CHECK (length(response) <= 1048576),
	CONSTRAINT ck_request_keys_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_request_keys_expires_at CHECK (length(expires_at) = 27)
);

CREATE INDEX ix_request_keys_expires_at ON request_keys (expires_at);

CREATE TABLE sequence_states (
	device_id TEXT NOT NULL,
	version INTEGER NOT NULL,
	packed BLOB NOT NULL,
	CONSTRAINT pk_sequence_states PRIMARY KEY (device_id)
);

CREATE TABLE series (
	series_id INTEGER NOT NULL,
	device_id TEXT NOT NULL,
	metric TEXT NOT NULL,
	channel TEXT DEFAULT '' NOT NULL,
	unit TEXT,
	created_at TEXT NOT NULL,
	CONSTRAINT pk_series PRIMARY KEY (series_id),
	CONSTRAINT uq_series_key UNIQUE (device_id, metric, channel)
);

CREATE TABLE snapshots (
	reader TEXT NOT NULL,
	kind TEXT NOT NULL,
	version INTEGER NOT NULL,
	positions TEXT NOT NULL,
	CONSTRAINT pk_snapshots PRIMARY KEY (reader, kind)
);

CREATE TABLE users (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	username TEXT NOT NULL,
	display_name TEXT DEFAULT '' NOT NULL,
	password_hash TEXT NOT NULL,
	role TEXT DEFAULT 'viewer' NOT NULL,
	disabled INTEGER DEFAULT 0 NOT NULL,
	token_epoch INTEGER DEFAULT 0 NOT NULL,
	last_login TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_users_username CHECK (length(username) <= 64),
	CONSTRAINT ck_users_display_name CHECK (length(display_name) <= 255),
	CONSTRAINT ck_users_password_hash CHECK (length(password_hash) <= 255),
	CONSTRAINT ck_users_role CHECK (role in ('viewer','operator','admin')),
	CONSTRAINT ck_users_disabled CHECK (disabled in (0,1)),
	CONSTRAINT ck_users_last_login CHECK (length(last_login) = 27),
	CONSTRAINT ck_users_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_users_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_users_username_form CHECK (username = lower(username) and length(username) >= 3),
	CONSTRAINT uq_users_username UNIQUE (username)
);

CREATE TABLE api_keys (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	prefix TEXT NOT NULL,
	key_hash TEXT NOT NULL,
	old_key_hash TEXT,
	old_valid_until TEXT,
	name TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	role TEXT DEFAULT 'viewer' NOT NULL,
	device_ids TEXT,
	ingest INTEGER DEFAULT 0 NOT NULL,
	expires_at TEXT,
	revoked_at TEXT,
	last_used_at TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_api_keys_prefix CHECK (length(prefix) <= 8),
	CONSTRAINT ck_api_keys_key_hash CHECK (length(key_hash) = 64 and ltrim(key_hash,'0123456789abcdef') = ''),
	CONSTRAINT ck_api_keys_old_key_hash CHECK (length(old_key_hash) = 64 and ltrim(old_key_hash,'0123456789abcdef') = ''),
	CONSTRAINT ck_api_keys_old_valid_until CHECK (length(old_valid_until) = 27),
	CONSTRAINT ck_api_keys_name CHECK (length(name) <= 255),
	CONSTRAINT ck_api_keys_role CHECK (role in ('viewer','operator','admin')),
	CONSTRAINT ck_api_keys_device_ids CHECK (json_valid(device_ids)),
	CONSTRAINT ck_api_keys_ingest CHECK (ingest in (0,1)),
	CONSTRAINT ck_api_keys_expires_at CHECK (length(expires_at) = 27),
	CONSTRAINT ck_api_keys_revoked_at CHECK (length(revoked_at) = 27),
	CONSTRAINT ck_api_keys_last_used_at CHECK (length(last_used_at) = 27),
	CONSTRAINT ck_api_keys_created_at CHECK (length(created_at) = 27),
	CONSTRAINT uq_api_keys_prefix UNIQUE (prefix),
	CONSTRAINT uq_api_keys_key_hash UNIQUE (key_hash),
	CONSTRAINT fk_api_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);

CREATE TABLE device_templates (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	model TEXT NOT NULL,
	description TEXT,
	image BLOB,
	image_type TEXT,
	device_type_id INTEGER NOT NULL,
	archived_at TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_device_templates_name CHECK (length(name) <= 255),
	CONSTRAINT ck_device_templates_model CHECK (length(model) <= 255),
	CONSTRAINT ck_device_templates_description CHECK (length(description) <= 4000),
	CONSTRAINT ck_device_templates_image CHECK (length(image) <= 262144),
	CONSTRAINT ck_device_templates_image_type CHECK (image_type in ('image/png','image/jpeg','image/webp')),
	CONSTRAINT ck_device_templates_archived_at CHECK (length(archived_at) = 27),
	CONSTRAINT ck_device_templates_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_device_templates_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_device_templates_image_typed CHECK ((image is null) = (image_type is null)),
	CONSTRAINT fk_device_templates_device_type_id FOREIGN KEY(device_type_id) REFERENCES device_types (id) ON DELETE RESTRICT
);

CREATE INDEX ix_device_templates_device_type_id ON device_templates (device_type_id);

CREATE UNIQUE INDEX uq_device_templates_name_model ON device_templates (name, model);

CREATE TABLE firmware (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_type TEXT NOT NULL,
	version TEXT NOT NULL,
	min_version TEXT,
	file_name TEXT NOT NULL,
	size_bytes INTEGER NOT NULL,
	sha256 TEXT NOT NULL,
	signature BLOB NOT NULL,
	signing_key_id TEXT NOT NULL,
	archive_key TEXT NOT NULL,
	notes TEXT DEFAULT '' NOT NULL,
	uploaded_by INTEGER,
	withdrawn_at TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_firmware_device_type CHECK (length(device_type) <= 100),
	CONSTRAINT ck_firmware_version CHECK (length(version) <= 50),
	CONSTRAINT ck_firmware_min_version CHECK (length(min_version) <= 50),
	CONSTRAINT ck_firmware_file_name CHECK (length(file_name) <= 255),
	CONSTRAINT ck_firmware_sha256 CHECK (length(sha256) = 64 and ltrim(sha256,'0123456789abcdef') = ''),
	CONSTRAINT ck_firmware_signature CHECK (length(signature) <= 1024),
	CONSTRAINT ck_firmware_signing_key_id CHECK (length(signing_key_id) <= 64),
	CONSTRAINT ck_firmware_archive_key CHECK (length(archive_key) <= 255),
	CONSTRAINT ck_firmware_notes CHECK (length(notes) <= 4000),
	CONSTRAINT ck_firmware_withdrawn_at CHECK (length(withdrawn_at) = 27),
	CONSTRAINT ck_firmware_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_firmware_size_bytes_range CHECK (size_bytes between 1 and 1073741824),
	CONSTRAINT fk_firmware_uploaded_by FOREIGN KEY(uploaded_by) REFERENCES users (id) ON DELETE SET NULL
);

CREATE INDEX ix_firmware_uploaded_by ON firmware (uploaded_by);

CREATE UNIQUE INDEX uq_firmware_device_type_version ON firmware (device_type, version);

CREATE TABLE refresh_tokens (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	user_id INTEGER NOT NULL,
	token_hash TEXT NOT NULL,
	family_id TEXT NOT NULL,
	issued_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	expires_at TEXT NOT NULL,
	used_at TEXT,
	revoked_at TEXT,
	ip_address TEXT,
	user_agent TEXT,
	CONSTRAINT ck_refresh_tokens_token_hash CHECK (length(token_hash) = 64 and ltrim(token_hash,'0123456789abcdef') = ''),
	CONSTRAINT ck_refresh_tokens_family_id CHECK (length(family_id) = 36 and ltrim(family_id,'0123456789abcdef-') = ''),
	CONSTRAINT ck_refresh_tokens_issued_at CHECK (length(issued_at) = 27),
	CONSTRAINT ck_refresh_tokens_expires_at CHECK (length(expires_at) = 27),
	CONSTRAINT ck_refresh_tokens_used_at CHECK (length(used_at) = 27),
	CONSTRAINT ck_refresh_tokens_revoked_at CHECK (length(revoked_at) = 27),
	CONSTRAINT ck_refresh_tokens_ip_address CHECK (length(ip_address) <= 45),
	CONSTRAINT ck_refresh_tokens_user_agent CHECK (length(user_agent) <= 255),
	CONSTRAINT fk_refresh_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
	CONSTRAINT uq_refresh_tokens_token_hash UNIQUE (token_hash)
);

CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at);

CREATE INDEX ix_refresh_tokens_family_id ON refresh_tokens (family_id);

CREATE INDEX ix_refresh_tokens_user_id ON refresh_tokens (user_id);

CREATE TABLE devices (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	family TEXT DEFAULT 'generic' NOT NULL,
	role TEXT DEFAULT 'standalone' NOT NULL,
	registered INTEGER DEFAULT 1 NOT NULL,
	device_name TEXT NOT NULL,
	device_type TEXT,
	device_template_id INTEGER,
	claiming_code TEXT,
	claimed_at TEXT,
	claimed_by INTEGER,
	serial_number TEXT,
	uuid TEXT,
	mac_address TEXT,
	ip_address TEXT,
	pcb_version TEXT,
	fw_version TEXT,
	location TEXT,
	latitude REAL,
	longitude REAL,
	time_zone TEXT,
	group_path TEXT DEFAULT '/' NOT NULL,
	status TEXT DEFAULT 'active' NOT NULL,
	last_seen TEXT,
	connection_status TEXT DEFAULT 'unknown' NOT NULL,
	installation_date TEXT,
	last_maintenance TEXT,
	credential_ref TEXT,
	metadata TEXT DEFAULT '{}' NOT NULL,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_devices_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_devices_family CHECK (family in ('f2','meter','sensors','generic')),
	CONSTRAINT ck_devices_role CHECK (role in ('controller','attached','standalone')),
	CONSTRAINT ck_devices_registered CHECK (registered in (0,1)),
	CONSTRAINT ck_devices_device_name CHECK (length(device_name) <= 255),
	CONSTRAINT ck_devices_device_type CHECK (length(device_type) <= 100),
	CONSTRAINT ck_devices_claiming_code CHECK (length(claiming_code) <= 255),
	CONSTRAINT ck_devices_claimed_at CHECK (length(claimed_at) = 27),
	CONSTRAINT ck_devices_serial_number CHECK (length(serial_number) <= 255),
	CONSTRAINT ck_devices_uuid CHECK (length(uuid) = 36 and ltrim(uuid,'0123456789abcdef-') = ''),
	CONSTRAINT ck_devices_mac_address CHECK (length(mac_address) = 12 and ltrim(mac_address,'0123456789abcdef') = ''),
	CONSTRAINT ck_devices_ip_address CHECK (length(ip_address) <= 45),
	CONSTRAINT ck_devices_pcb_version CHECK (length(pcb_version) <= 255),
	CONSTRAINT ck_devices_fw_version CHECK (length(fw_version) <= 50),
	CONSTRAINT ck_devices_location CHECK (length(location) <= 255),
	CONSTRAINT ck_devices_time_zone CHECK (length(time_zone) <= 64),
	CONSTRAINT ck_devices_group_path CHECK (length(group_path) <= 255),
	CONSTRAINT ck_devices_status CHECK (status in ('active','inactive','maintenance','discovered','decommissioned')),
	CONSTRAINT ck_devices_last_seen CHECK (length(last_seen) = 27),
	CONSTRAINT ck_devices_connection_status CHECK (connection_status in ('online','offline','unknown')),
	CONSTRAINT ck_devices_installation_date CHECK (length(installation_date) = 27),
	CONSTRAINT ck_devices_last_maintenance CHECK (length(last_maintenance) = 27),
	CONSTRAINT ck_devices_credential_ref CHECK (length(credential_ref) <= 64),
	CONSTRAINT ck_devices_metadata CHECK (json_valid(metadata)),
	CONSTRAINT ck_devices_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_devices_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_devices_group_path_rooted CHECK (group_path like '/%'),
	CONSTRAINT ck_devices_discovered_unregistered CHECK (status <> 'discovered' or not registered),
	CONSTRAINT ck_devices_latitude_range CHECK (latitude between -90 and 90),
	CONSTRAINT ck_devices_longitude_range CHECK (longitude between -180 and 180),
	CONSTRAINT ck_devices_position_whole CHECK ((latitude is null) = (longitude is null)),
	CONSTRAINT ck_devices_role_of_family CHECK (role = 'standalone' or family = 'f2'),
	CONSTRAINT ck_devices_controller_named CHECK (role <> 'controller' or mac_address is null or device_id = 'f2-' || mac_address),
	CONSTRAINT ck_devices_attached_named CHECK (role <> 'attached' or device_id = 'dev-' || id),
	CONSTRAINT uq_devices_device_id UNIQUE (device_id),
	CONSTRAINT fk_devices_device_template_id FOREIGN KEY(device_template_id) REFERENCES device_templates (id) ON DELETE RESTRICT,
	CONSTRAINT fk_devices_claimed_by FOREIGN KEY(claimed_by) REFERENCES users (id) ON DELETE SET NULL
);

CREATE INDEX ix_devices_claimed_by ON devices (claimed_by);

CREATE INDEX ix_devices_connection_status ON devices (connection_status);

CREATE INDEX ix_devices_device_template_id ON devices (device_template_id);

CREATE INDEX ix_devices_device_type ON devices (device_type);

CREATE INDEX ix_devices_group_path ON devices (group_path);

CREATE INDEX ix_devices_last_seen ON devices (last_seen);

CREATE INDEX ix_devices_status ON devices (status);

CREATE UNIQUE INDEX uq_devices_claiming_code ON devices (claiming_code) WHERE claiming_code is not null;

CREATE UNIQUE INDEX uq_devices_mac_address ON devices (mac_address) WHERE mac_address is not null;

CREATE UNIQUE INDEX uq_devices_uuid ON devices (uuid) WHERE uuid is not null;

CREATE TABLE ota_campaigns (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	firmware_id INTEGER NOT NULL,
	state TEXT DEFAULT 'draft' NOT NULL,
	selector TEXT DEFAULT '{}' NOT NULL,
	batch_size INTEGER DEFAULT 10 NOT NULL,
	max_failed_pct INTEGER DEFAULT 10 NOT NULL,
	created_by INTEGER,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	started_at TEXT,
	finished_at TEXT,
	CONSTRAINT ck_ota_campaigns_name CHECK (length(name) <= 255),
	CONSTRAINT ck_ota_campaigns_state CHECK (state in ('draft','running','paused','done','aborted')),
	CONSTRAINT ck_ota_campaigns_selector CHECK (json_valid(selector)),
	CONSTRAINT ck_ota_campaigns_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_ota_campaigns_started_at CHECK (length(started_at) = 27),
	CONSTRAINT ck_ota_campaigns_finished_at CHECK (length(finished_at) = 27),
	CONSTRAINT ck_ota_campaigns_batch_size_range CHECK (batch_size between 1 and 1000),
	CONSTRAINT ck_ota_campaigns_max_failed_pct_range CHECK (max_failed_pct between 0 and 100),
	CONSTRAINT uq_ota_campaigns_name UNIQUE (name),
	CONSTRAINT fk_ota_campaigns_firmware_id FOREIGN KEY(firmware_id) REFERENCES firmware (id) ON DELETE RESTRICT,
	CONSTRAINT fk_ota_campaigns_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
);

CREATE INDEX ix_ota_campaigns_created_by ON ota_campaigns (created_by);

CREATE INDEX ix_ota_campaigns_firmware_id ON ota_campaigns (firmware_id);

CREATE TABLE template_versions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_template_id INTEGER NOT NULL,
	version INTEGER NOT NULL,
	status TEXT DEFAULT 'draft' NOT NULL,
	crc TEXT DEFAULT 'none' NOT NULL,
	note TEXT DEFAULT '' NOT NULL,
	created_by INTEGER,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	activated_at TEXT,
	retired_at TEXT,
	used_at TEXT,
	CONSTRAINT ck_template_versions_status CHECK (status in ('draft','active','retired')),
	CONSTRAINT ck_template_versions_crc CHECK (crc in ('none','modbus')),
	CONSTRAINT ck_template_versions_note CHECK (length(note) <= 500),
	CONSTRAINT ck_template_versions_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_template_versions_activated_at CHECK (length(activated_at) = 27),
	CONSTRAINT ck_template_versions_retired_at CHECK (length(retired_at) = 27),
	CONSTRAINT ck_template_versions_used_at CHECK (length(used_at) = 27),
	CONSTRAINT ck_template_versions_version_from_one CHECK (version >= 1),
	CONSTRAINT fk_template_versions_device_template_id FOREIGN KEY(device_template_id) REFERENCES device_templates (id) ON DELETE CASCADE,
	CONSTRAINT fk_template_versions_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE SET NULL
);

CREATE INDEX ix_template_versions_created_by ON template_versions (created_by);

CREATE UNIQUE INDEX uq_template_versions_device_template_id ON template_versions (device_template_id) WHERE status = 'active';

CREATE UNIQUE INDEX uq_template_versions_device_template_id_version ON template_versions (device_template_id, version);

CREATE TABLE alert_rules (
	rule_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT,
	enabled INTEGER DEFAULT 1 NOT NULL,
	kind TEXT DEFAULT 'threshold' NOT NULL,
	device_type TEXT,
	device_id TEXT,
	group_path TEXT DEFAULT '/' NOT NULL,
	metric_name TEXT NOT NULL,
	threshold_min REAL,
	threshold_max REAL,
	hysteresis REAL,
	for_s INTEGER DEFAULT 0 NOT NULL,
	alert_type TEXT,
	severity TEXT DEFAULT 'warning' NOT NULL,
	expression TEXT,
	params TEXT DEFAULT '{}' NOT NULL,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_alert_rules_name CHECK (length(name) <= 255),
	CONSTRAINT ck_alert_rules_enabled CHECK (enabled in (0,1)),
	CONSTRAINT ck_alert_rules_kind CHECK (kind in ('threshold','rate','absence','anomaly','expression')),
	CONSTRAINT ck_alert_rules_device_type CHECK (length(device_type) <= 100),
	CONSTRAINT ck_alert_rules_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_alert_rules_group_path CHECK (length(group_path) <= 255),
	CONSTRAINT ck_alert_rules_metric_name CHECK (length(metric_name) <= 100),
	CONSTRAINT ck_alert_rules_alert_type CHECK (length(alert_type) <= 100),
	CONSTRAINT ck_alert_rules_severity CHECK (severity in ('info','warning','critical')),
	CONSTRAINT ck_alert_rules_expression CHECK (length(expression) <= 2000),
	CONSTRAINT ck_alert_rules_params CHECK (json_valid(params)),
	CONSTRAINT ck_alert_rules_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_alert_rules_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_alert_rules_threshold_given CHECK (kind <> 'threshold' or coalesce(threshold_min, threshold_max) is not null),
	CONSTRAINT ck_alert_rules_threshold_order CHECK (threshold_min <= threshold_max),
	CONSTRAINT ck_alert_rules_expression_given CHECK (kind <> 'expression' or expression is not null),
	CONSTRAINT ck_alert_rules_for_s_range CHECK (for_s between 0 and 86400),
	CONSTRAINT ck_alert_rules_hysteresis_range CHECK (hysteresis >= 0),
	CONSTRAINT uq_alert_rules_name UNIQUE (name),
	CONSTRAINT fk_alert_rules_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE INDEX ix_alert_rules_device_id ON alert_rules (device_id);

CREATE TABLE connectors (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	controller_id TEXT NOT NULL,
	connector_number INTEGER NOT NULL,
	connector_type_id INTEGER,
	CONSTRAINT ck_connectors_controller_id CHECK (length(controller_id) between 1 and 128 and ltrim(controller_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(controller_id,'_.:-') <> ''),
	CONSTRAINT ck_connectors_connector_number_range CHECK (connector_number between 1 and 5),
	CONSTRAINT fk_connectors_controller_id FOREIGN KEY(controller_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_connectors_controller_id_connector_number ON connectors (controller_id, connector_number);

CREATE TABLE data_points (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	template_version_id INTEGER NOT NULL,
	origin_id INTEGER,
	label TEXT NOT NULL,
	data_point_icon_id INTEGER,
	data_format TEXT DEFAULT 'numeric' NOT NULL,
	byte_order TEXT DEFAULT 'big' NOT NULL,
	byte_offset INTEGER NOT NULL,
	byte_length INTEGER NOT NULL,
	bit INTEGER,
	decimals INTEGER DEFAULT 0 NOT NULL,
	whole_number INTEGER DEFAULT 0 NOT NULL,
	data_encoding TEXT NOT NULL,
	prepend TEXT DEFAULT '' NOT NULL,
	append TEXT DEFAULT '' NOT NULL,
	real_time_chart TEXT DEFAULT 'gauge' NOT NULL,
	historical_chart TEXT DEFAULT 'line' NOT NULL,
	CONSTRAINT ck_data_points_label CHECK (length(label) <= 255),
	CONSTRAINT ck_data_points_data_format CHECK (data_format in ('numeric','text')),
	CONSTRAINT ck_data_points_byte_order CHECK (byte_order in ('big','little','word-swapped')),
	CONSTRAINT ck_data_points_data_encoding CHECK (data_encoding in ('Int8','Int16','Int24','Int32','Int64','Uint8','Uint16','Uint24','Uint32','Uint64','Float32','Float64','BCD','ASCII','Bit')),
	CONSTRAINT ck_data_points_prepend CHECK (length(prepend) <= 50),
	CONSTRAINT ck_data_points_append CHECK (length(append) <= 50),
	CONSTRAINT ck_data_points_real_time_chart CHECK (real_time_chart in ('gauge','line','bar','value','none')),
	CONSTRAINT ck_data_points_historical_chart CHECK (historical_chart in ('line','bar','none')),
	CONSTRAINT ck_data_points_byte_offset_range CHECK (byte_offset between 0 and 1023),
	CONSTRAINT ck_data_points_decimals_range CHECK (decimals between 0 and 18),
	CONSTRAINT ck_data_points_whole_number_range CHECK (whole_number between 0 and 20),
	CONSTRAINT ck_data_points_byte_length_natural CHECK (case when data_encoding in ('Int8','Uint8') then byte_length = 1 when data_encoding in ('Int16','Uint16') then byte_length = 2 when data_encoding in ('Int24','Uint24') then byte_length = 3 when data_encoding in ('Int32','Uint32','Float32') then byte_length = 4 when data_encoding in ('Int64','Uint64','Float64') then byte_length = 8 when data_encoding = 'ASCII' then byte_length between 1 and 1024 else byte_length between 1 and 8 end),
	CONSTRAINT ck_data_points_bit_named CHECK ((data_encoding = 'Bit') = (bit is not null)),
	CONSTRAINT ck_data_points_bit_inside CHECK (bit is null or bit between 0 and 8 * byte_length - 1),
	CONSTRAINT ck_data_points_text_is_ascii CHECK (data_format = 'numeric' or data_encoding = 'ASCII'),
	CONSTRAINT ck_data_points_word_swapped_wide CHECK (byte_order <> 'word-swapped' or data_encoding in ('Int32','Uint32','Float32','Int64','Uint64','Float64')),
	CONSTRAINT fk_data_points_template_version_id FOREIGN KEY(template_version_id) REFERENCES template_versions (id) ON DELETE CASCADE,
	CONSTRAINT fk_data_points_origin_id FOREIGN KEY(origin_id) REFERENCES data_points (id) ON DELETE NO ACTION,
	CONSTRAINT fk_data_points_data_point_icon_id FOREIGN KEY(data_point_icon_id) REFERENCES data_point_icons (id) ON DELETE RESTRICT
);

CREATE INDEX ix_data_points_data_point_icon_id ON data_points (data_point_icon_id);

CREATE INDEX ix_data_points_origin_id ON data_points (origin_id);

CREATE UNIQUE INDEX uq_data_points_template_version_id_origin_id ON data_points (template_version_id, coalesce(origin_id, id));

CREATE TABLE decoder_bindings (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	template_version_id INTEGER NOT NULL,
	fw_version TEXT DEFAULT '' NOT NULL,
	valid_from TEXT,
	valid_to TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_decoder_bindings_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_decoder_bindings_fw_version CHECK (length(fw_version) <= 50),
	CONSTRAINT ck_decoder_bindings_valid_from CHECK (length(valid_from) = 27),
	CONSTRAINT ck_decoder_bindings_valid_to CHECK (length(valid_to) = 27),
	CONSTRAINT ck_decoder_bindings_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_decoder_bindings_valid_span CHECK (valid_from is null or valid_to is null or valid_from < valid_to),
	CONSTRAINT fk_decoder_bindings_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE,
	CONSTRAINT fk_decoder_bindings_template_version_id FOREIGN KEY(template_version_id) REFERENCES template_versions (id) ON DELETE RESTRICT
);

CREATE INDEX ix_decoder_bindings_device_id_fw_version_valid_from ON decoder_bindings (device_id, fw_version, valid_from);

CREATE INDEX ix_decoder_bindings_template_version_id ON decoder_bindings (template_version_id);

CREATE TABLE device_commands (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	cmd_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	cmd TEXT NOT NULL,
	params TEXT DEFAULT '{}' NOT NULL,
	ack_detail TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	published_at TEXT,
	acked_at TEXT,
	timeout_s INTEGER DEFAULT 60 NOT NULL,
	status TEXT DEFAULT 'pending' NOT NULL,
	attempts INTEGER DEFAULT 0 NOT NULL,
	created_by TEXT,
	campaign_id INTEGER,
	CONSTRAINT ck_device_commands_cmd_id CHECK (length(cmd_id) = 36 and ltrim(cmd_id,'0123456789abcdef-') = ''),
	CONSTRAINT ck_device_commands_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_commands_cmd CHECK (length(cmd) <= 100),
	CONSTRAINT ck_device_commands_params CHECK (json_valid(params)),
	CONSTRAINT ck_device_commands_ack_detail CHECK (length(ack_detail) <= 1024),
	CONSTRAINT ck_device_commands_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_device_commands_published_at CHECK (length(published_at) = 27),
	CONSTRAINT ck_device_commands_acked_at CHECK (length(acked_at) = 27),
	CONSTRAINT ck_device_commands_status CHECK (status in ('pending','published','accepted','rejected','error','unsupported','timeout','unconfirmed')),
	CONSTRAINT ck_device_commands_created_by CHECK (length(created_by) <= 128),
	CONSTRAINT ck_device_commands_timeout_s_range CHECK (timeout_s between 1 and 86400),
	CONSTRAINT uq_device_commands_cmd_id UNIQUE (cmd_id),
	CONSTRAINT fk_device_commands_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE,
	CONSTRAINT fk_device_commands_campaign_id FOREIGN KEY(campaign_id) REFERENCES ota_campaigns (id) ON DELETE SET NULL
);

CREATE INDEX ix_device_commands_campaign_id ON device_commands (campaign_id);

CREATE INDEX ix_device_commands_device_id_created_at ON device_commands (device_id, created_at);

CREATE INDEX ix_device_commands_status_created_at ON device_commands (status, created_at);

CREATE TABLE device_configs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	config_key TEXT NOT NULL,
	config_value TEXT,
	cmd_id TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_device_configs_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_configs_config_key CHECK (length(config_key) <= 255),
	CONSTRAINT ck_device_configs_config_value CHECK (length(config_value) <= 65536),
	CONSTRAINT ck_device_configs_cmd_id CHECK (length(cmd_id) = 36 and ltrim(cmd_id,'0123456789abcdef-') = ''),
	CONSTRAINT ck_device_configs_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_device_configs_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT fk_device_configs_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX uq_device_configs_device_id_config_key ON device_configs (device_id, config_key);

CREATE TABLE device_credentials (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	ref TEXT NOT NULL,
	device_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	username TEXT,
	secret_hash TEXT,
	sealed_secret BLOB,
	master_key_id TEXT,
	fingerprint TEXT,
	serial_number TEXT,
	not_before TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	not_after TEXT,
	revoked_at TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_device_credentials_ref CHECK (length(ref) <= 64),
	CONSTRAINT ck_device_credentials_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_credentials_kind CHECK (kind in ('password','x509','hmac')),
	CONSTRAINT ck_device_credentials_username CHECK (length(username) <= 128),
	CONSTRAINT ck_device_credentials_secret_hash CHECK (length(secret_hash) = 64 and ltrim(secret_hash,'0123456789abcdef') = ''),
	CONSTRAINT ck_device_credentials_sealed_secret CHECK (length(sealed_secret) <= 512),
	CONSTRAINT ck_device_credentials_master_key_id CHECK (length(master_key_id) <= 32),
	CONSTRAINT ck_device_credentials_fingerprint CHECK (length(fingerprint) = 64 and ltrim(fingerprint,'0123456789abcdef') = ''),
	CONSTRAINT ck_device_credentials_serial_number CHECK (length(serial_number) <= 64),
	CONSTRAINT ck_device_credentials_not_before CHECK (length(not_before) = 27),
	CONSTRAINT ck_device_credentials_not_after CHECK (length(not_after) = 27),
	CONSTRAINT ck_device_credentials_revoked_at CHECK (length(revoked_at) = 27),
	CONSTRAINT ck_device_credentials_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_device_credentials_kind_password CHECK ((kind = 'password') = (secret_hash is not null)),
	CONSTRAINT ck_device_credentials_kind_x509 CHECK ((kind = 'x509') = (fingerprint is not null)),
	CONSTRAINT ck_device_credentials_kind_hmac CHECK ((kind = 'hmac') = (sealed_secret is not null and master_key_id is not null)),
	CONSTRAINT uq_device_credentials_ref UNIQUE (ref),
	CONSTRAINT fk_device_credentials_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE INDEX ix_device_credentials_device_id_kind ON device_credentials (device_id, kind);

CREATE INDEX ix_device_credentials_username ON device_credentials (username);

CREATE UNIQUE INDEX uq_device_credentials_fingerprint ON device_credentials (fingerprint) WHERE fingerprint is not null;

CREATE TABLE device_parameters (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	connector_mode TEXT NOT NULL,
	component_type TEXT NOT NULL,
	component_id TEXT,
	encoding_type TEXT NOT NULL,
	units TEXT NOT NULL,
	scaling_factor REAL DEFAULT (1.0) NOT NULL,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_device_parameters_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_parameters_connector_mode CHECK (length(connector_mode) <= 50),
	CONSTRAINT ck_device_parameters_component_type CHECK (length(component_type) <= 50),
	CONSTRAINT ck_device_parameters_component_id CHECK (length(component_id) <= 10),
	CONSTRAINT ck_device_parameters_encoding_type CHECK (length(encoding_type) <= 50),
	CONSTRAINT ck_device_parameters_units CHECK (length(units) <= 20),
	CONSTRAINT ck_device_parameters_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_device_parameters_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_device_parameters_scaling_factor_nonzero CHECK (scaling_factor <> 0),
	CONSTRAINT fk_device_parameters_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_device_params_lookup ON device_parameters (device_id, connector_mode, component_type, coalesce(component_id, ''));

CREATE TABLE device_seq_tracking (
	device_id TEXT NOT NULL,
	last_seq INTEGER DEFAULT (-1) NOT NULL,
	epoch INTEGER DEFAULT 0 NOT NULL,
	gap_count INTEGER DEFAULT 0 NOT NULL,
	duplicates INTEGER DEFAULT 0 NOT NULL,
	resets INTEGER DEFAULT 0 NOT NULL,
	last_ts TEXT,
	state TEXT DEFAULT '{}' NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT pk_device_seq_tracking PRIMARY KEY (device_id),
	CONSTRAINT ck_device_seq_tracking_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_seq_tracking_last_ts CHECK (length(last_ts) = 27),
	CONSTRAINT ck_device_seq_tracking_state CHECK (json_valid(state)),
	CONSTRAINT ck_device_seq_tracking_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_device_seq_tracking_last_seq_range CHECK (last_seq between -1 and 4294967295),
	CONSTRAINT fk_device_seq_tracking_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE
);

CREATE TABLE ota_updates (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	cmd_id TEXT,
	campaign_id INTEGER,
	fw_version_target TEXT,
	state TEXT,
	progress_pct INTEGER,
	outcome TEXT DEFAULT 'requested' NOT NULL,
	detail TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_ota_updates_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_ota_updates_cmd_id CHECK (length(cmd_id) <= 128),
	CONSTRAINT ck_ota_updates_fw_version_target CHECK (length(fw_version_target) <= 50),
	CONSTRAINT ck_ota_updates_state CHECK (state in ('downloading','verifying','applying','success','failed')),
	CONSTRAINT ck_ota_updates_outcome CHECK (outcome in ('waiting','requested','in_progress','confirmed','failed','unconfirmed','skipped')),
	CONSTRAINT ck_ota_updates_detail CHECK (length(detail) <= 1024),
	CONSTRAINT ck_ota_updates_created_at CHECK (length(created_at) = 27),
	CONSTRAINT ck_ota_updates_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT ck_ota_updates_progress_pct_range CHECK (progress_pct between 0 and 100),
	CONSTRAINT fk_ota_updates_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE,
	CONSTRAINT fk_ota_updates_campaign_id FOREIGN KEY(campaign_id) REFERENCES ota_campaigns (id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX uq_ota_updates_campaign_id_device_id ON ota_updates (campaign_id, device_id) WHERE campaign_id is not null;

CREATE UNIQUE INDEX uq_ota_updates_device_id_cmd_id ON ota_updates (device_id, cmd_id) WHERE cmd_id is not null;

CREATE TABLE device_alerts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device_id TEXT NOT NULL,
	alert_type TEXT DEFAULT 'general' NOT NULL,
	severity TEXT DEFAULT 'info' NOT NULL,
	message TEXT DEFAULT '' NOT NULL,
	rule_id INTEGER,
	value REAL,
	threshold TEXT,
	status TEXT DEFAULT 'open' NOT NULL,
	resolution TEXT,
	count INTEGER DEFAULT 1 NOT NULL,
	details TEXT DEFAULT '{}' NOT NULL,
	dedupe_key TEXT,
	acknowledged INTEGER DEFAULT 0 NOT NULL,
	acknowledged_at TEXT,
	acknowledged_by TEXT,
	last_at TEXT,
	started_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	resolved_at TEXT,
	created_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT ck_device_alerts_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_device_alerts_alert_type CHECK (length(alert_type) <= 100),
	CONSTRAINT ck_device_alerts_severity CHECK (length(severity) <= 50),
	CONSTRAINT ck_device_alerts_message CHECK (length(message) <= 4096),
	CONSTRAINT ck_device_alerts_threshold CHECK (length(threshold) <= 50),
	CONSTRAINT ck_device_alerts_status CHECK (status in ('open','resolved')),
	CONSTRAINT ck_device_alerts_resolution CHECK (length(resolution) <= 50),
	CONSTRAINT ck_device_alerts_details CHECK (json_valid(details)),
	CONSTRAINT ck_device_alerts_dedupe_key CHECK (length(dedupe_key) <= 200),
	CONSTRAINT ck_device_alerts_acknowledged CHECK (acknowledged in (0,1)),
	CONSTRAINT ck_device_alerts_acknowledged_at CHECK (length(acknowledged_at) = 27),
	CONSTRAINT ck_device_alerts_acknowledged_by CHECK (length(acknowledged_by) <= 128),
	CONSTRAINT ck_device_alerts_last_at CHECK (length(last_at) = 27),
	CONSTRAINT ck_device_alerts_started_at CHECK (length(started_at) = 27),
	CONSTRAINT ck_device_alerts_resolved_at CHECK (length(resolved_at) = 27),
	CONSTRAINT ck_device_alerts_created_at CHECK (length(created_at) = 27),
	CONSTRAINT fk_device_alerts_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE,
	CONSTRAINT fk_device_alerts_rule_id FOREIGN KEY(rule_id) REFERENCES alert_rules (rule_id) ON DELETE SET NULL
);

CREATE INDEX ix_device_alerts_acknowledged_created_at ON device_alerts (acknowledged, created_at);

CREATE INDEX ix_device_alerts_device_id_created_at ON device_alerts (device_id, created_at);

CREATE INDEX ix_device_alerts_rule_id ON device_alerts (rule_id);

CREATE UNIQUE INDEX uq_device_alerts_device_id_dedupe_key ON device_alerts (device_id, dedupe_key) WHERE status = 'open' and dedupe_key is not null;

CREATE TABLE ota_history (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	ota_update_id INTEGER NOT NULL,
	received_at TEXT NOT NULL,
	state TEXT NOT NULL,
	progress_pct INTEGER,
	detail TEXT,
	CONSTRAINT ck_ota_history_received_at CHECK (length(received_at) = 27),
	CONSTRAINT ck_ota_history_state CHECK (state in ('downloading','verifying','applying','success','failed')),
	CONSTRAINT ck_ota_history_detail CHECK (length(detail) <= 1024),
	CONSTRAINT fk_ota_history_ota_update_id FOREIGN KEY(ota_update_id) REFERENCES ota_updates (id) ON DELETE CASCADE
);

CREATE INDEX ix_ota_history_ota_update_id ON ota_history (ota_update_id);

CREATE TABLE pins (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	connector_id INTEGER NOT NULL,
	position INTEGER NOT NULL,
	device_id TEXT NOT NULL,
	CONSTRAINT ck_pins_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_pins_position_range CHECK (position between 0 and 99),
	CONSTRAINT fk_pins_connector_id FOREIGN KEY(connector_id) REFERENCES connectors (id) ON DELETE RESTRICT,
	CONSTRAINT fk_pins_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE RESTRICT
);

CREATE INDEX ix_pins_device_id ON pins (device_id);

CREATE UNIQUE INDEX uq_pins_connector_id_position ON pins (connector_id, position);

CREATE TABLE alert_state (
	rule_id INTEGER NOT NULL,
	device_id TEXT NOT NULL,
	open_alert_id INTEGER,
	last_time TEXT,
	state TEXT DEFAULT '{}' NOT NULL,
	updated_at TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z') NOT NULL,
	CONSTRAINT pk_alert_state PRIMARY KEY (rule_id, device_id),
	CONSTRAINT ck_alert_state_device_id CHECK (length(device_id) between 1 and 128 and ltrim(device_id,'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-') = '' and ltrim(device_id,'_.:-') <> ''),
	CONSTRAINT ck_alert_state_last_time CHECK (length(last_time) = 27),
	CONSTRAINT ck_alert_state_state CHECK (json_valid(state)),
	CONSTRAINT ck_alert_state_updated_at CHECK (length(updated_at) = 27),
	CONSTRAINT fk_alert_state_rule_id FOREIGN KEY(rule_id) REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
	CONSTRAINT fk_alert_state_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id) ON DELETE CASCADE,
	CONSTRAINT fk_alert_state_open_alert_id FOREIGN KEY(open_alert_id) REFERENCES device_alerts (id) ON DELETE SET NULL
);

CREATE INDEX ix_alert_state_device_id ON alert_state (device_id);

CREATE INDEX ix_alert_state_open_alert_id ON alert_state (open_alert_id);

CREATE VIEW "DeviceType" AS SELECT id AS "DeviceTypeId", name AS "Name" FROM device_types;

CREATE VIEW "DeviceTemplate" AS SELECT id AS "DeviceTemplateId", name AS "Name", model AS "Model", description AS "Description", image AS "Image", device_type_id AS "DeviceTypeId" FROM device_templates;

CREATE VIEW "Device" AS SELECT id AS "DeviceId", device_name AS "DeviceName", device_template_id AS "DeviceTemplateId", coalesce(claiming_code, '') AS "ClaimingCode", serial_number AS "SerialNumber", uuid AS "Uuid", mac_address AS "MacAddress", ip_address AS "IpAddress", pcb_version AS "PcbVersion" FROM devices WHERE device_template_id IS NOT NULL;

CREATE VIEW "Connector" AS SELECT c.id AS "ConnectorId", d.id AS "ControllerId", c.connector_number AS "ConnectorNumber", c.connector_type_id AS "ConnectorTypeId" FROM connectors c JOIN devices d ON d.device_id = c.controller_id;

CREATE VIEW "Pin" AS SELECT p.id AS "PinId", p.connector_id AS "ConnectorId", p.position AS "Position", d.id AS "DeviceId" FROM pins p JOIN devices d ON d.device_id = p.device_id;

CREATE VIEW "DataPointIcon" AS SELECT id AS "DataPointIconId", icon_name AS "IconName" FROM data_point_icons;

CREATE VIEW "DataPoint" AS SELECT coalesce(p.origin_id, p.id) AS "DataPointId", v.device_template_id AS "DeviceTemplateId", p.label AS "Label", coalesce(p.data_point_icon_id, 0) AS "DataPointIconId", p.data_format AS "DataFormat", CASE WHEN p.data_encoding = 'Bit' THEN 'Bit(' || p.bit || ')' ELSE p.data_encoding END AS "DataEncoding", p.byte_offset AS "Offset", p.byte_length AS "Length", p.prepend AS "Prepend", p.append AS "Append", p.whole_number AS "WholeNumber", p.decimals AS "Decimals", p.real_time_chart AS "RealTimeChart", p.historical_chart AS "HistoricalChart" FROM data_points p JOIN template_versions v ON v.id = p.template_version_id WHERE v.status = 'active';

CREATE VIEW device_config_view AS SELECT device_id, connector_mode, component_type, component_id, encoding_type, units, scaling_factor FROM device_parameters ORDER BY device_id, connector_mode, component_type, component_id;

CREATE VIEW sensor_devices AS SELECT device_id, device_type, location, installation_date, last_maintenance, status FROM devices WHERE family = 'sensors';

CREATE VIEW sensor_device_configs AS SELECT c.id AS config_id, c.device_id, c.config_key, c.config_value, c.updated_at FROM device_configs c JOIN devices d ON d.device_id = c.device_id WHERE d.family = 'sensors';

INSERT INTO registry_version (id) VALUES (1);

INSERT INTO device_types (code, name, family, is_controller) VALUES ('controller', 'Controller', 'f2', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('sensor', 'Sensor', 'f2', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('power_monitor', 'Power Monitor', 'f2', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('power_meter_dc', 'Power Meter DC', 'meter', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('power_meter_ac', 'Power Meter AC', 'meter', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('temperature_sensor', 'Temperature Sensor', 'sensors', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('humidity_sensor', 'Humidity Sensor', 'sensors', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('motion_sensor', 'Motion Sensor', 'sensors', 1);

INSERT INTO device_types (code, name, family, is_sensor) VALUES ('gps_sensor', 'GPS Sensor', 'sensors', 1);

INSERT INTO device_types (code, name, family) VALUES ('generic', 'Generic', 'generic');

INSERT INTO data_point_icons (icon_name) VALUES ('Temperature');

INSERT INTO data_point_icons (icon_name) VALUES ('Humidity');

INSERT INTO data_point_icons (icon_name) VALUES ('Pressure');

INSERT INTO data_point_icons (icon_name) VALUES ('Voltage');

INSERT INTO data_point_icons (icon_name) VALUES ('Current');

INSERT INTO data_point_icons (icon_name) VALUES ('CO2');

INSERT INTO alert_rules (name, device_type, metric_name, threshold_min, threshold_max, hysteresis, alert_type, severity) VALUES ('temperature_anomaly', 'temperature_sensor', 'temperature_celsius', 10.0, 30.0, 1.0, 'temperature_anomaly', 'warning');

INSERT INTO alert_rules (name, device_type, metric_name, threshold_min, threshold_max, hysteresis, alert_type, severity) VALUES ('humidity_anomaly', 'humidity_sensor', 'humidity_percent', 20.0, 80.0, 3.0, 'humidity_anomaly', 'warning');

INSERT INTO alert_rules (name, metric_name, threshold_min, hysteresis, alert_type, severity) VALUES ('low_device_health', 'health_score', 0.3, 0.05, 'low_device_health', 'warning')
