/** `[notify]` of the config: the channels by which people are told. */
import { z } from 'zod';

const webhookSchema = z
  .strictObject({
    url: z
      .url({ protocol: /^https?$/, error: 'an address that begins with https:// or http://' })
      .refine((url) => !/^https?:\/\/[^/?#]*@/.test(url), 'no user and password in the address'),
    format: z.enum(['standard', 'slack', 'discord']).default('standard'),
    /** Standard Webhooks 1.0: 24 to 64 bytes. */
    secret: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, 'whsec_ and 24 to 64 bytes in base64')
      .optional(),
  })
  .refine(
    ({ format, secret }) => (format === 'standard') === (secret !== undefined),
    'a secret goes with the format "standard", and with no other',
  );

/** No header of a mail comes from here but its own. */
const addressSchema = z
  .string()
  .max(320)
  .regex(
    /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*[^\s@]@[^\s@][^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u,
    'a mail address',
  );

const mailSchema = z
  .strictObject({
    server: z.string().regex(/^[A-Za-z0-9.:_-]{1,253}$/, 'the name or address of a server'),
    port: z.number().int().min(1).max(65_535).default(587),
    security: z.enum(['starttls', 'tls', 'none']).default('starttls'),
    user: z.string().min(1).optional(),
    password: z.string().min(1).optional(),
    from: addressSchema,
    to: z.array(addressSchema).min(1),
  })
  .refine(
    ({ user, password }) => (user === undefined) === (password === undefined),
    'user and password go together',
  );

export const notifySchema = z.strictObject({
  /** Only where a terminal is. */
  terminal: z.boolean().default(true),
  desktop: z.boolean().default(false),
  webhook: z.array(webhookSchema).default([]),
  mail: mailSchema.optional(),
  /** Program and arguments; no shell. */
  command: z.array(z.strictObject({ argv: z.tuple([z.string().min(1)], z.string()) })).default([]),
});
