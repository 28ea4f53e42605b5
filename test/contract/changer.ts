/** What every changer does, virtual or behind the kernel's sg driver: one list of tests, every maker. */
import { describe, expect, test } from 'vitest';
import type { Changer } from '../../src/device/changer.ts';
import type { Element, ElementType } from '../../src/device/elements.ts';
import { SHAPE, type WorldMaker } from './world.ts';

const go = new AbortController().signal;

export function describeChanger(maker: WorldMaker): void {
  describe(`changer: ${maker.name}`, () => {
    test('shows every element, its barcode, and which drive is which', async () => {
      const world = await maker.make();
      const changer = await world.openChanger();
      expect(changer.identity).toMatchObject({ deviceType: 8 });
      const elements = await changer.elements(go);
      const count = (type: ElementType) =>
        elements.filter((element) => element.type === type).length;
      expect([count('picker'), count('slot'), count('port'), count('drive')]).toEqual([
        1,
        SHAPE.slots,
        SHAPE.ports,
        SHAPE.drives,
      ]);
      expect(barcodes(elements, 'slot')).toEqual([...SHAPE.barcodes, undefined, undefined]);
      const drives = elements.filter(({ type }) => type === 'drive');
      for (const [index, element] of drives.entries()) {
        expect((await world.openDrive(index)).identity.serial).toBe(element.driveSerial);
        expect(element.full).toBe(false);
      }
    });

    test('moves between slots, port and drive, and remembers where from', async () => {
      const { changer, slot, port, drive } = await library(maker);
      await changer.move(slot(0), slot(5), go);
      await changer.move(slot(5), port, go);
      expect((await at(changer, port)).barcode).toBe(SHAPE.barcodes[0]);
      await changer.move(port, drive(1), go);
      expect(await at(changer, drive(1))).toMatchObject({ full: true, barcode: SHAPE.barcodes[0] });
      await changer.move(drive(1), slot(0), go);
      await changer.move(slot(1), drive(0), go);
      expect(await at(changer, drive(0))).toMatchObject({
        sourceAddress: slot(1),
        barcode: SHAPE.barcodes[1],
      });
      expect(barcodes(await changer.elements(go), 'slot')).toEqual([
        SHAPE.barcodes[0],
        undefined,
        SHAPE.barcodes[2],
        SHAPE.barcodes[3],
        undefined,
        undefined,
      ]);
    });

    test('a move that cannot be names why and changes nothing', async () => {
      const { changer, slot, drive } = await library(maker);
      const before = await changer.elements(go);
      const refused = (from: number, to: number) => changer.move(from, to, go);
      await expect(refused(slot(4), slot(5))).rejects.toMatchObject({
        code: 'CHANGER_SOURCE_EMPTY',
      });
      await expect(refused(drive(0), slot(5))).rejects.toMatchObject({
        code: 'CHANGER_SOURCE_EMPTY',
      });
      await expect(refused(slot(0), slot(1))).rejects.toMatchObject({
        code: 'CHANGER_DESTINATION_FULL',
      });
      await expect(refused(slot(0), 9999)).rejects.toMatchObject({ code: 'CHANGER_FAILED' });
      expect(await changer.elements(go)).toEqual(before);
    });

    test('a cartridge that a drive locks in stays there', async () => {
      const { world, changer, slot, drive } = await library(maker);
      await changer.move(slot(0), drive(0), go);
      const unit = await world.openDrive(0);
      await unit.waitReady(go);
      await unit.preventRemoval(true, go);
      await expect(changer.move(drive(0), slot(0), go)).rejects.toMatchObject({
        code: 'REMOVAL_PREVENTED',
      });
      expect((await at(changer, drive(0))).full).toBe(true);
      expect(await unit.state(go)).toBe('ready');
      await unit.preventRemoval(false, go);
      await unit.unload(go);
      await changer.move(drive(0), slot(0), go);
      expect(await unit.state(go)).toBe('empty');
    });

    test('a jam is named, and the next move works once the picker is free', async () => {
      const { world, changer, slot } = await library(maker);
      await world.hand.fail('move', { drive: 0, key: 4, code: 0x1501 });
      await expect(changer.move(slot(0), slot(5), go)).rejects.toMatchObject({
        code: 'CHANGER_JAMMED',
      });
      expect((await at(changer, slot(0))).barcode).toBe(SHAPE.barcodes[0]);
      await changer.move(slot(0), slot(5), go);
    });

    test('sees what a person puts into the port', async () => {
      const { world, changer, slot, port } = await library(maker);
      await world.hand.insert('NEW001L8');
      expect(await at(changer, port)).toMatchObject({ full: true, barcode: 'NEW001L8' });
      await changer.move(port, slot(4), go);
      expect((await at(changer, slot(4))).barcode).toBe('NEW001L8');
    });

    test('takes inventory, positions, locks and unlocks', async () => {
      const { changer, slot } = await library(maker);
      const before = await changer.elements(go);
      await changer.initializeElementStatus(go);
      await changer.positionTo(slot(0), go);
      await changer.preventRemoval(true, go);
      await changer.preventRemoval(false, go);
      expect(await changer.elements(go)).toEqual(before);
    });

    test('two cartridges in two drives, each drive sees its own', async () => {
      const { world, changer, slot, drive } = await library(maker);
      await changer.move(slot(0), drive(1), go);
      await changer.move(slot(1), drive(0), go);
      for (const index of [0, 1]) {
        const unit = await world.openDrive(index);
        await unit.waitReady(go);
        await unit.rewind(go);
        expect(unit.position).toMatchObject({ proven: true, block: 0 });
      }
    });
  });
}

async function library(maker: WorldMaker) {
  const world = await maker.make();
  const changer = await world.openChanger();
  const elements = await changer.elements(go);
  const address = (type: ElementType, index: number) =>
    elements.filter((element) => element.type === type)[index]?.address ?? -1;
  return {
    world,
    changer,
    slot: (index: number) => address('slot', index),
    drive: (index: number) => address('drive', index),
    port: address('port', 0),
  };
}

async function at(changer: Changer, address: number): Promise<Element> {
  const element = (await changer.elements(go)).find((candidate) => candidate.address === address);
  if (!element) throw new Error(`no element ${address}`);
  return element;
}

function barcodes(elements: readonly Element[], type: ElementType): (string | undefined)[] {
  return elements.filter((element) => element.type === type).map(({ barcode }) => barcode);
}
