// Where the pages of things are, without the `#` before them.

export const leasePath = (id: number) => `/drydock/leases/${id}`;
export const resourcePath = (id: number) => `/drydock/resources/${id}`;
export const blueprintPath = (name: string) => `/drydock/blueprints/${encodeURIComponent(name)}`;
export const authorizationPath = (id: number) => `/drydock/authorizations/${id}`;
export const hostPath = (name: string) => `/drydock/hosts/${encodeURIComponent(name)}`;
export const workerPath = (number: number) => `/workers/${number}`;
export const builderPath = (number: number) => `/builders/${number}`;
export const buildPath = (builder: number, build: string) => `/builders/${builder}/builds/${build}`;

/** What stands for a host in the key of a message, where a dot would separate parts. */
export const hostKey = (name: string) => name.replace(/[^A-Za-z0-9_-]/g, "-");
