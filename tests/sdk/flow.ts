// From the first person to a gateway with the TypeScript SDK, as an integrator would write it.
//
// Compiled with `tsc --strict` and run by tests/integration/test_sdk_typescript.py. A new area is one
// more function in STEPS.

import { Client, Conflict, NethVoiceError, NotFound, Refused, WrongCredentials } from "nethvoice-sdk";
import type { NewUser, User } from "nethvoice-sdk";

declare const process: { argv: string[] };

function same(found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
}

async function failure<E extends NethVoiceError>(
  kind: new (...rest: never[]) => E,
  act: () => Promise<unknown>,
): Promise<E> {
  try {
    await act();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`${kind.name} was expected`);
}

async function people(api: Client): Promise<void> {
  same((await api.check_login()).success, true);
  same(await api.count_users(), 0);
  const wanted: NewUser = { username: "ada", fullname: "Ada Rossi" };
  same(await api.create_user(wanted), undefined);
  await api.set_user_password("ada", { password: "Pa9!xyzw" });
  same((await api.get_user_password("ada")).result, "Pa9!xyzw");
  same(await api.set_main_extension({ username: "ada", extension: 200 }), undefined);
  const phone = { mainextension: "200", mac: "00-15-65-AA-BB-CC", model: "yealink-T46" };
  same(await api.create_physical_extension(phone), { extension: "200" });
  const app = await api.create_mobile_app_extension({ mainextension: "200" });
  same(await api.get_mobile_app_extension("200"), app.extension);
  await api.set_voicemail({ extension: "200", state: "yes" });
  const ada: User = await api.get_user("ada");
  same([ada.default_extension, ada.displayname], ["200", "Ada Rossi"]);
  same(ada.devices.map((device) => device.mac), ["00:15:65:AA:BB:CC", null]);
  same((await api.list_users()).map((user) => user.username), ["ada"]);
  await api.set_extension_srtp("200", "true");
  same(await api.get_extension_srtp("200"), true);
  same((await api.get_sha1_script()).includes("sha1"), true);
}

async function failures(api: Client): Promise<void> {
  const missing = await failure(NotFound, () => api.get_user("nobody"));
  same([missing.status, missing.title, missing.name], [404, "Not found", "NotFound"]);
  same(missing.detail !== "" && missing.request_id !== undefined, true);
  const wrong = { username: "ada", extension: "abc" };
  const refused = await failure(Refused, () => api.set_main_extension(wrong));
  same(refused.members["message"], refused.detail);
  const stranger = new Client({ baseUrl, user, password: "wrong" });
  const denied = await failure(WrongCredentials, () => stranger.list_users());
  same(typeof denied.members["error"], "string");
}

async function device_numbers(api: Client): Promise<void> {
  const taken = await failure(Conflict, async () => {
    for (let number = 0; number < 9; number++) {
      await api.create_physical_extension({ mainextension: "200", mac: null });
    }
  });
  same(taken.status, 409);
}

async function trunks(api: Client): Promise<void> {
  same((await api.list_providers()).some((one) => one.provider === "vivavox"), true);
  const made = await api.create_trunk({
    provider: "vivavox",
    name: "Sdk",
    username: "0721000111",
    password: "s3cret",
    phone: "0721000111",
    codecs: ["alaw", "ulaw"],
    forceCodec: true,
  });
  const found = (await api.list_trunks()).find((trunk) => trunk.trunkid === made.trunkid);
  same(found?.name, "Sdk");
}

async function routes(api: Client): Promise<void> {
  const trunk = (await api.list_trunks()).find((one) => one.name === "Sdk");
  const trunkid = trunk?.trunkid ?? "";
  const destination = "from-did-direct,200,1";
  await api.create_inbound_route({ extension: "0721000111", destination });
  const inbound = (await api.list_inbound_routes()).routes;
  same(inbound.map((route) => route.destination), [destination]);
  await api.save_outbound_routes({ it: [{ name: "national_it", trunks: [{ trunkid }] }] });
  const outbound = await api.list_outbound_routes();
  same(outbound.map((route) => [route.name, route.trunks[0]?.trunkid]), [["national_it", trunkid]]);
}

async function gateways(api: Client): Promise<void> {
  const before = await api.count_trunks();
  const saved = await api.save_gateway({
    name: "Sdk gateway",
    mac: "00:A0:BA:0B:1C:DA",
    model: "17",
    ipv4_new: "192.168.1.250",
    gateway: "192.168.1.254",
    netmask_green: "255.255.255.0",
    ipv4_green: "192.168.1.1",
    trunks_isdn: [{ type: "pp" }, { type: "pmp" }],
  });
  same(saved.status, true);
  same(await api.count_trunks(), before + 2);
  const file = await api.download_gateway_configuration_by_mac("Sdk gateway", "00:A0:BA:0B:1C:DA");
  same(file.length > 100, true);
  same((await api.delete_gateway(saved.id)).status, true);
  same(await api.count_trunks(), before);
}

async function applied(api: Client): Promise<void> {
  same(api.apply_task === undefined, false);
  same((await api.wait_until_applied(60_000))?.progress, 100);
}

const STEPS = [people, failures, device_numbers, trunks, routes, gateways, applied];

const [, , baseUrl = "", user = "", password = ""] = process.argv;
const api = new Client({ baseUrl, user, password });
for (const step of STEPS) {
  await step(api);
  console.log(step.name);
}
