// The peer of bench/libsignal.py: sender keys and pairwise sessions of @signalapp/libsignal-client,
// stores in memory, on request. Reads one JSON line [what, times] and answers one JSON line:
// microseconds of one.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, peers, length] = process.argv.slice(2);
const found = createRequire(pathToFileURL(`${folder}/`)).resolve("@signalapp/libsignal-client");
const signal = await import(pathToFileURL(found));
const message = new Uint8Array(Number(length)).fill(42);
const distribution = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
const addressOf = (number) =>
  signal.ProtocolAddress.new(`00000000-0000-4000-8000-${String(number).padStart(12, "0")}`, 1);
const nameOf = (address) => `${address.name()}.${address.deviceId()}`;

class Sessions extends signal.SessionStore {
  records = new Map();
  async saveSession(address, record) { this.records.set(nameOf(address), record); }
  async getSession(address) { return this.records.get(nameOf(address)) ?? null; }
  async getExistingSessions(addresses) { return addresses.map((each) => this.records.get(nameOf(each))); }
}

class Identities extends signal.IdentityKeyStore {
  known = new Map();
  pair = signal.IdentityKeyPair.generate();
  async getIdentityKey() { return this.pair.privateKey; }
  async getIdentityKeyPair() { return this.pair; }
  async getLocalRegistrationId() { return 5; }
  async isTrustedIdentity() { return true; }
  async getIdentity(address) { return this.known.get(nameOf(address)) ?? null; }
  async saveIdentity(address, key) {
    this.known.set(nameOf(address), key);
    return signal.IdentityChange.NewOrUnchanged;
  }
}

class SenderKeys extends signal.SenderKeyStore {
  records = new Map();
  async saveSenderKey(sender, id, record) { this.records.set(nameOf(sender) + id, record); }
  async getSenderKey(sender, id) { return this.records.get(nameOf(sender) + id) ?? null; }
}

class PreKeys extends signal.PreKeyStore {
  constructor(record) { super(); this.record = record; }
  async getPreKey() { return this.record; }
  async savePreKey() {}
  async removePreKey() {}
}

class SignedPreKeys extends signal.SignedPreKeyStore {
  constructor(record) { super(); this.record = record; }
  async getSignedPreKey() { return this.record; }
  async saveSignedPreKey() {}
}

class KyberPreKeys extends signal.KyberPreKeyStore {
  constructor(record) { super(); this.record = record; }
  async getKyberPreKey() { return this.record; }
  async saveKyberPreKey() {}
  async markKyberPreKeyUsed() {}
}

const me = addressOf(0);
const mine = { sessions: new Sessions(), identities: new Identities() };
const others = Array.from({ length: Number(peers) }, (_, number) => addressOf(number + 1));

// A session that both ends have answered, so that what is measured carries no prekeys any more.
async function meet(address) {
  const sessions = new Sessions(), identities = new Identities(), pair = identities.pair;
  const prekey = signal.PrivateKey.generate(), signed = signal.PrivateKey.generate();
  const kyber = signal.KEMKeyPair.generate();
  const sign = (key) => pair.privateKey.sign(key.serialize());
  const signature = sign(signed.getPublicKey()), kyberSignature = sign(kyber.getPublicKey());
  const bundle = signal.PreKeyBundle.new(
    5, 1, 31, prekey.getPublicKey(), 22, signed.getPublicKey(), signature,
    pair.publicKey, 8, kyber.getPublicKey(), kyberSignature,
  );
  const hello = new Uint8Array([1]);
  await signal.processPreKeyBundle(bundle, address, me, mine.sessions, mine.identities);
  const first = await signal.signalEncrypt(hello, address, me, mine.sessions, mine.identities);
  await signal.signalDecryptPreKey(
    signal.PreKeySignalMessage.deserialize(first.serialize()), me, address, sessions, identities,
    new PreKeys(signal.PreKeyRecord.new(31, prekey.getPublicKey(), prekey)),
    new SignedPreKeys(signal.SignedPreKeyRecord.new(22, 42, signed.getPublicKey(), signed, signature)),
    new KyberPreKeys(signal.KyberPreKeyRecord.new(8, 42, kyber, kyberSignature)),
  );
  const answer = await signal.signalEncrypt(hello, me, address, sessions, identities);
  await signal.signalDecrypt(
    signal.SignalMessage.deserialize(answer.serialize()), address, me, mine.sessions, mine.identities,
  );
}

const own = new SenderKeys(), reader = new SenderKeys();
const given = await signal.SenderKeyDistributionMessage.create(me, distribution, own);
await signal.processSenderKeyDistributionMessage(me, given, reader);
for (const address of others) await meet(address);

const encrypt = async () => (await signal.groupEncrypt(me, distribution, own, message)).serialize();

async function timed(times, action) {
  const began = process.hrtime.bigint();
  for (let number = 0; number < times; number++) await action(number);
  return Number(process.hrtime.bigint() - began) / 1000 / times;
}

// Every message is read in its turn, and once.
async function openEach(times, sealed) {
  return timed(times, (number) => signal.groupDecrypt(me, reader, sealed[number]));
}

async function decrypting(times) {
  const sealed = [];
  for (let number = 0; number < times; number++) sealed.push(await encrypt());
  return openEach(times, sealed);
}

async function encrypting(times) {
  const sealed = [];
  const took = await timed(times, async () => sealed.push(await encrypt()));
  await openEach(times, sealed);
  return took;
}

const fanOut = async () => {
  for (const address of others) {
    const sent = await signal.signalEncrypt(message, address, me, mine.sessions, mine.identities);
    sent.serialize();
  }
};

const rounds = { encrypt: encrypting, decrypt: decrypting, pairwise: (times) => timed(times, fanOut) };

console.log(JSON.stringify("ready"));
for await (const line of createInterface({ input: process.stdin })) {
  const [what, times] = JSON.parse(line);
  console.log(JSON.stringify(await rounds[what](times)));
}
